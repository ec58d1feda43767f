package transfer

import (
	"archive/tar"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// xattrRecord is what the names of extended attributes begin with in a stream, as GNU tar, bsdtar and docker have them.
const xattrRecord = "SCHILY.xattr."

// mostXattr is how long the kernel lets a value be (XATTR_SIZE_MAX).
const mostXattr = 64 << 10

// copied reports whether an extended attribute is: those of users, but for what overlay file systems keep there for themselves. Others
// grant rights or say what holds where the file was.
func copied(name string) bool {
	return strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "user.overlay.")
}

// xattrs adds those of an open file to its header.
func (w *walk) xattrs(fd int, h *tar.Header) error {
	names, err := sys.Xattrs(fd, h.Name)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range slices.DeleteFunc(names, func(name string) bool { return !copied(name) }) {
		value, err := sys.Xattr(fd, h.Name, name, mostXattr)
		switch {
		case errors.Is(err, unix.ENODATA): // it has gone meanwhile
			continue
		case err != nil:
			return err
		case strings.ContainsAny(name, "=\x00"): // no record of a stream is called so
			w.notice("the attribute " + name + " of " + h.Name + " is left out")
			continue
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrRecord+name] = string(value)
	}
	return nil
}

// setXattrs gives an open file those that its header has. Where the file system has none, that is said once.
func (u *unpack) setXattrs(fd int, h *tar.Header) error {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrRecord)
		if !ok || !copied(name) {
			continue
		}
		err := sys.SetXattr(fd, h.Name, name, []byte(value))
		if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.E2BIG) {
			if !u.lost {
				u.notice("extended attributes are left out, of " + h.Name + " the first: " + errnoOf(err).Error())
			}
			u.lost = true
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
