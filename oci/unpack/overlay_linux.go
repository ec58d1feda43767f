package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// whiteout hides a name of the layers below. It says nothing about this layer's own entries (image-spec, layer.md), so one
// that has the name stays; a directory then hides only what is below it in lower layers.
func (u *unpacker) whiteout(dir, hidden string) error {
	parent, err := u.tree.dir(dir)
	if err != nil {
		return err
	}
	if err := fsx.Step("whiteout", hidden); err != nil {
		return err
	}
	u.stats.Whiteouts++
	st, there, err := u.tree.look(parent, hidden)
	switch {
	case err != nil:
		return err
	case !there && u.tree.marks.hide(parent.path):
		return nil
	case !there:
		u.tree.names.add(parent.path, hidden)
		u.tree.marks.keep(join(parent.path, hidden))
		return sys.WhiteoutAt(parent.fd, hidden)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return u.tree.hideBelow(parent, hidden)
	}
	return nil
}

// opaque hides everything the layers below have in a directory.
func (u *unpacker) opaque(dir string) error {
	p, err := u.tree.dir(dir)
	if err != nil {
		return err
	}
	u.stats.Whiteouts++
	return u.tree.hide(p.fd, p.path)
}

// hide makes an open directory opaque.
func (t *tree) hide(fd int, path string) error {
	t.marks.add(path)
	return setXattr(fd, path, sys.OverlayOpaque, []byte("y"))
}

// marks remembers opaque directories, and whiteouts, which have no place inside of them: overlayfs looks for whiteouts where
// it merges directories, and anywhere else shows them to the job as files that cannot be opened. Builders write both.
type marks struct {
	opaque    map[string]struct{} // real paths
	whiteouts []string            // that were made, by their real paths
	size      int                 // bytes
	late      bool                // a directory became opaque after whiteouts were made
	lost      bool                // there are more than fit
}

// maxMarks bounds the memory for marks, in bytes of their paths.
const maxMarks = 64 << 20

func (m *marks) add(path string) {
	if _, there := m.opaque[path]; there {
		return
	}
	m.late = m.late || len(m.whiteouts) > 0
	if m.grow(path) {
		m.opaque[path] = struct{}{}
	}
}

func (m *marks) keep(path string) {
	if m.grow(path) {
		m.whiteouts = append(m.whiteouts, path)
	}
}

func (m *marks) grow(path string) bool {
	m.size += len(path) + 64
	m.lost = m.lost || m.size > maxMarks
	return !m.lost
}

// hide reports whether what lower layers have in a directory is hidden by its own mark, or one above it.
func (m *marks) hide(path string) bool {
	for len(m.opaque) > 0 {
		if _, there := m.opaque[path]; there {
			return true
		}
		if path == "" {
			return false
		}
		path, _ = split(path)
	}
	return false
}

// dropWhiteouts removes the whiteouts from directories that became opaque after them.
func (u *unpacker) dropWhiteouts() error {
	m := &u.tree.marks
	if !m.late {
		return nil
	}
	if m.lost {
		return fmt.Errorf("%w: too many whiteouts and opaque directories", ErrLimit)
	}
	for _, path := range m.whiteouts {
		dir, base := split(path)
		if !m.hide(dir) {
			continue
		}
		parent, err := u.tree.existing(dir)
		if err != nil {
			continue // it was replaced
		}
		if st, err := sys.StatAt(parent.fd, base); err == nil && isWhiteout(st) && parent.path == dir {
			if err := unlink(parent.fd, base); err != nil {
				return err
			}
		}
		if err := u.tree.sweep(); err != nil {
			return err
		}
	}
	return nil
}

const (
	xattrKey      = "SCHILY.xattr." // of a PAX record; what GNU tar, bsdtar, docker and buildah write
	userXattrs    = "user."
	overlayXattrs = "user.overlay." // a forged one would hide or redirect files of lower layers

	maxXattrs     = 64        // on one entry
	maxXattrValue = 64 << 10  // XATTR_SIZE_MAX
	maxXattrSpace = 256 << 10 // values of one entry together
)

// xattrs sets the extended attributes that an entry may have, and returns the names of those that were left out: not in
// the name space "user.", about overlayfs, too many or too large, or not to the file system's liking.
func (u *unpacker) xattrs(fd int, path string, hdr *tar.Header) (dropped []string, err error) {
	space := maxXattrSpace
	for n, name := range xattrNames(hdr) {
		value := hdr.PAXRecords[xattrKey+name]
		space -= len(value)
		allowed := strings.HasPrefix(name, userXattrs) && !strings.HasPrefix(name, overlayXattrs) && len(name) <= maxName
		if !allowed || n >= maxXattrs || len(value) > maxXattrValue || space < 0 {
			dropped = append(dropped, name)
			continue
		}
		err := setXattr(fd, path, name, []byte(value))
		switch {
		case err == nil:
		case refusesXattr(err):
			dropped = append(dropped, name)
		default:
			return nil, err
		}
	}
	u.stats.Dropped += int64(len(dropped))
	return dropped, nil
}

// dropXattrs is for entries that can have no attributes of users (xattr(7)): links and pipes.
func (u *unpacker) dropXattrs(hdr *tar.Header) []string {
	names := xattrNames(hdr)
	u.stats.Dropped += int64(len(names))
	return names
}

// xattrNames are the names of the extended attributes of an entry, sorted.
func xattrNames(hdr *tar.Header) []string {
	var names []string
	for key := range hdr.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrKey); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// refusesXattr recognises a file system that will not hold an attribute. ext4 says ENOSPC when the block that holds a
// file's attributes is full; a disk that is full shows itself at the next write.
func refusesXattr(err error) bool {
	for _, errno := range []syscall.Errno{unix.ENOTSUP, unix.EPERM, unix.EACCES, unix.E2BIG, unix.ERANGE, unix.EINVAL, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
