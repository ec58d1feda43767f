package transfer

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Target is where a stream is unpacked.
type Target struct {
	Tree
	Dir   string // a directory that is there; in a tree that is no root, ""
	Owner bool   // files are given to those that the stream names; else they are the caller's
	Plain bool   // set-id bits are taken off

	Notice  func(text string) // is told what is left out; nil: nobody is
	Content *int64            // has added to it how much content files had; nil: nobody counts
}

func (t Target) notice(text string) {
	if t.Notice != nil {
		t.Notice(text)
	}
}

// ErrStream marks what cannot be unpacked.
var ErrStream = errors.New("the stream cannot be unpacked")

// Read unpacks a stream.
func (t Target) Read(ctx context.Context, in io.Reader) error {
	u := unpack{Target: t, tar: tar.NewReader(patient{ctx: ctx, in: in})}
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		h, err := u.tar.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStream, err)
		}
		if err := u.entry(h); err != nil {
			return fmt.Errorf("writing %s: %w", h.Name, err)
		}
	}
}

// unpack is one call of Read.
type unpack struct {
	Target
	tar  *tar.Reader
	lost bool          // extended attributes were
	dirs []*tar.Header // that were made or met, whose modes and times are set when all is in them
}

// inner is a name of a stream as a path below where it is unpacked, "" for that itself.
func inner(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("%w: %q leads out of it", ErrStream, name)
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

func (u *unpack) entry(h *tar.Header) (err error) {
	name, err := inner(h.Name)
	if err != nil {
		return err
	}
	if h.Name = name; name == "" {
		return nil // the directory is there, and stays as it is
	}
	parent, err := u.parent(path.Dir(name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(parent)) }()
	if kernels, err := madeUp(parent); err != nil || kernels {
		return cmp.Or(err, ErrKernel)
	}
	last := path.Base(name)
	switch h.Typeflag {
	case tar.TypeDir:
		return u.directory(parent, last, h)
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(parent, last, h)
	case tar.TypeSymlink:
		err = replace(parent, last, func() error { return sys.SymlinkAt(h.Linkname, parent, last) })
	case tar.TypeLink:
		return u.link(parent, last, h)
	case tar.TypeFifo:
		err = replace(parent, last, func() error { return sys.MkfifoAt(parent, last, u.mode(h)&0o777) })
	case tar.TypeXGlobalHeader:
		return nil
	default:
		return fmt.Errorf("%w: devices, and what else is no file, directory or link, cannot be made", ErrStream)
	}
	if err != nil {
		return err
	}
	return u.dress(parent, last, h)
}

// parent opens a directory below where it is unpacked, and makes what a stream has left out of it.
func (u *unpack) parent(dir string) (int, error) {
	fd, err := u.open(u.below(dir))
	if dir == "." || !errors.Is(err, fs.ErrNotExist) {
		return fd, err
	}
	above, err := u.parent(path.Dir(dir))
	if err != nil {
		return -1, err
	}
	err = sys.MkdirAt(above, path.Base(dir), 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err := errors.Join(err, sys.Close(above)); err != nil {
		return -1, err
	}
	return u.open(u.below(dir))
}

// below is a directory of the stream as a path of the tree, of which what was given stays as it is: behind a link, .. is not the way back.
func (u *unpack) below(dir string) string {
	if u.Dir == "" {
		return dir
	}
	return u.Dir + "/" + dir
}

// directory makes a directory, or finds it.
func (u *unpack) directory(parent int, name string, h *tar.Header) error {
	err := sys.MkdirAt(parent, name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		st, statErr := sys.StatAt(parent, name)
		switch {
		case statErr != nil:
			return statErr
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			err = nil
		case st.Mode&unix.S_IFMT == unix.S_IFLNK && u.Root: // what follows goes where it leads, if that is a directory of the container
			return nil
		default:
			return fmt.Errorf("a directory cannot take the place of a file: %w", unix.ENOTDIR)
		}
	}
	if err == nil {
		u.dirs = append(u.dirs, h)
	}
	return err
}

// file makes a file in the place of what is there, unless that is a directory or a device. A file that is mounted there is written into.
func (u *unpack) file(parent int, name string, h *tar.Header) (err error) {
	if mounted(parent, name) {
		return u.into(parent, name, h)
	}
	if err := replaceable(parent, name); err != nil { // before its content comes
		return err
	}
	d, err := newDraft(parent, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := u.fill(d.File, h); err != nil {
		return err
	}
	return d.publish(name)
}

// into writes a file into one that is there.
func (u *unpack) into(parent int, name string, h *tar.Header) (err error) {
	fd, err := sys.OpenInRoot(parent, name, unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, f.Close()) }()
	return u.fill(f, h)
}

// fill gives an open file all that a header and what follows it say.
func (u *unpack) fill(f *os.File, h *tar.Header) error {
	if err := u.content(f, h); err != nil {
		return err
	}
	if u.Content != nil {
		*u.Content += h.Size
	}
	return u.finishFile(int(f.Fd()), h)
}

// replace makes a name anew. Somebody may make it at the same time, again and again.
func replace(parent int, name string, create func() error) (err error) {
	const tries = 100
	for range tries {
		if err = create(); !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := replaceable(parent, name); err != nil {
			return err
		}
		if gone := sys.UnlinkAt(parent, name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			return gone
		}
	}
	return err
}

// mounted reports whether a file is mounted on a name (statx(2)).
func mounted(parent int, name string) bool {
	var st unix.Statx_t
	err := unix.Statx(parent, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// content writes a file's content; of one that had holes, what is zero is left out.
func (u *unpack) content(f *os.File, h *tar.Header) error {
	if h.PAXRecords[sparseRecord] == "" && h.Typeflag != tar.TypeGNUSparse {
		_, err := io.Copy(f, u.tar)
		return err
	}
	const piece = 64 << 10
	var buf, none [piece]byte
	for at := int64(0); ; {
		n, err := io.ReadFull(u.tar, buf[:])
		if !bytes.Equal(buf[:n], none[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f.Truncate(h.Size)
		}
		if err != nil {
			return err
		}
	}
}

// finishFile gives an open file its attributes, its owner, its mode and its time: in that order, since each takes something of the next
// away.
func (u *unpack) finishFile(fd int, h *tar.Header) error {
	if err := u.setXattrs(fd, h); err != nil {
		return err
	}
	if u.Owner {
		if err := unix.Fchown(fd, h.Uid, h.Gid); err != nil {
			return &os.PathError{Op: "fchown", Path: h.Name, Err: err}
		}
	}
	if err := sys.Chmod(fd, h.Name, u.mode(h)); err != nil {
		return err
	}
	return sys.SetMtime(fd, h.Name, timeOf(h))
}

func (u *unpack) mode(h *tar.Header) uint32 {
	mode := uint32(h.Mode & 0o7777) //nolint:gosec // these bits alone
	if u.Plain {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	return mode
}

func timeOf(h *tar.Header) time.Time {
	if h.ModTime.IsZero() {
		return time.Unix(0, 0)
	}
	return h.ModTime
}

// dress does for what is not opened what finishFile does for a file.
func (u *unpack) dress(parent int, name string, h *tar.Header) error {
	if u.Owner {
		if err := sys.ChownAt(parent, name, uint32(h.Uid), uint32(h.Gid)); err != nil { //nolint:gosec // numbers of users
			return err
		}
	}
	return sys.SetMtimeAt(parent, name, timeOf(h))
}

// link makes another name of a file that was unpacked.
func (u *unpack) link(parent int, name string, h *tar.Header) (err error) {
	first, err := inner(h.Linkname)
	if err != nil {
		return err
	}
	dir, err := u.parent(path.Dir(first))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	return replace(parent, name, func() error { return sys.LinkAt(dir, path.Base(first), parent, name) })
}

// finish gives directories their modes and times, the deepest first.
func (u *unpack) finish() error {
	for _, h := range slices.Backward(u.dirs) {
		if err := u.finishDirectory(h); err != nil {
			return fmt.Errorf("writing %s: %w", h.Name, err)
		}
	}
	return nil
}

func (u *unpack) finishDirectory(h *tar.Header) (err error) {
	parent, err := u.open(u.below(path.Dir(h.Name)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(parent)) }()
	fd, err := sys.OpenDirAt(parent, path.Base(h.Name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	return u.finishFile(fd, h)
}
