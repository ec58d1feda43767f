package unpack

import (
	"archive/tar"
	"errors"
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
	case !there:
		u.tree.names.add(parent.path, hidden)
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
	return sys.SetXattr(p.fd, dir, opaqueXattr, []byte("y"))
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
		err := sys.SetXattr(fd, path, name, []byte(value))
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
