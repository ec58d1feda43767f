package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// copyLayers makes of an empty directory what an overlay of the layers would show, and says how many bytes of files that took. Links between
// files are not kept: each name gets a file of its own, which the job may change without others changing.
func (r Root) copyLayers(room string) (bytes int64, err error) {
	upper, err := sys.OpenDir(room)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sys.Close(upper)) }()
	c := copier{}
	for _, path := range r.Layers {
		layer, err := sys.OpenDir(path)
		if err != nil {
			return c.bytes, err
		}
		if err := errors.Join(c.merge(layer, upper), sys.Close(layer)); err != nil {
			return c.bytes, fmt.Errorf("layer %s: %w", path, err)
		}
	}
	return c.bytes, nil
}

// copier puts layers on top of each other. Names in a layer are the image's: no link is followed.
type copier struct {
	bytes int64
	plain bool // files lose their set-id bits
}

// merge puts a directory of a layer over one of the copy.
func (c *copier) merge(from, to int) error {
	names, err := namesIn(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		st, err := sys.StatAt(from, name)
		if err != nil {
			return err
		}
		if err := c.put(from, to, name, st); err != nil {
			return err
		}
	}
	return nil
}

// put makes one name of the copy what the layer has it be.
func (c *copier) put(from, to int, name string, st unix.Stat_t) error {
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFDIR {
		return c.directory(from, to, name, st)
	}
	if err := removeAt(to, name); err != nil {
		return err
	}
	switch {
	case kind == unix.S_IFCHR && st.Rdev == 0: // a whiteout
		return nil
	case kind == unix.S_IFREG:
		return c.file(from, to, name, st)
	case kind == unix.S_IFLNK:
		target, err := sys.ReadlinkAt(from, name)
		if err != nil {
			return err
		}
		if err := sys.SymlinkAt(target, to, name); err != nil {
			return err
		}
		return errors.Join(own(to, name, st), sys.SetMtimeAt(to, name, mtime(st)))
	case kind == unix.S_IFIFO:
		return errors.Join(sys.MkfifoAt(to, name, st.Mode&0o7777), own(to, name, st))
	}
	return fmt.Errorf("%s: a kind of file that no layer has", name)
}

// directory puts a directory over what has its name: another one it covers when it is opaque, and else adds to.
func (c *copier) directory(from, to int, name string, st unix.Stat_t) (err error) {
	source, err := sys.OpenDirAt(from, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(source)) }()
	opaque, err := sys.Xattr(source, name, sys.OverlayOpaque, 1)
	if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	below, err := sys.StatAt(to, name)
	if err != nil || below.Mode&unix.S_IFMT != unix.S_IFDIR || string(opaque) == "y" {
		if err := removeAt(to, name); err != nil {
			return err
		}
		if err := sys.MkdirAt(to, name, 0o700); err != nil {
			return err
		}
	}
	target, err := sys.OpenDirAt(to, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(target)) }()
	if err := c.merge(source, target); err != nil {
		return err
	}
	return errors.Join(own(to, name, st), sys.Chmod(target, name, st.Mode&0o7777), sys.SetMtime(target, name, mtime(st)))
}

func (c *copier) file(from, to int, name string, st unix.Stat_t) (err error) {
	fd, err := sys.OpenBeneath(from, name, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, source.Close()) }()
	if fd, err = sys.CreateAt(to, name, 0o600); err != nil {
		return err
	}
	target := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, target.Close()) }()
	n, err := io.Copy(target, source)
	c.bytes += n
	if err != nil {
		return err
	}
	if err := copyAttributes(source, target, name); err != nil {
		return err
	}
	mode := st.Mode & 0o7777
	if c.plain {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	return errors.Join(own(to, name, st), sys.Chmod(int(target.Fd()), name, mode), sys.SetMtime(int(target.Fd()), name, mtime(st)))
}

// copyAttributes copies the extended attributes that a layer can have.
func copyAttributes(from, to *os.File, name string) error {
	list := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(from.Fd()), list)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "flistxattr", Path: name, Err: err}
	}
	for attribute := range strings.SplitSeq(string(list[:n]), "\x00") {
		if !strings.HasPrefix(attribute, "user.") {
			continue
		}
		value, err := sys.Xattr(int(from.Fd()), name, attribute, 64<<10)
		if err == nil {
			err = sys.SetXattr(int(to.Fd()), name, attribute, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// own gives a name the owner that it has in the layer, where there is more than one.
func own(dir int, name string, st unix.Stat_t) error {
	if st.Uid == uint32(os.Getuid()) && st.Gid == uint32(os.Getgid()) {
		return nil
	}
	if err := unix.Fchownat(dir, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "fchownat", Path: name, Err: err}
	}
	return nil
}

func mtime(st unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }

// removeAt removes a name with all that is below it; none is no error.
func removeAt(dir int, name string) (err error) {
	err = sys.UnlinkAt(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	fd, err := sys.OpenDirAt(dir, name)
	if err != nil {
		return err
	}
	names, err := namesIn(fd)
	for _, below := range names {
		err = errors.Join(err, removeAt(fd, below))
	}
	return errors.Join(err, sys.Close(fd), sys.RmdirAt(dir, name))
}

// namesIn lists an open directory, which stays open.
func namesIn(fd int) (names []string, err error) {
	again, err := sys.OpenDirAt(fd, ".")
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), ".")
	defer func() { err = errors.Join(err, dir.Close()) }()
	if names, err = dir.Readdirnames(-1); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}
