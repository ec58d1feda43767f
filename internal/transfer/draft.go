package transfer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// draft is a file that has its name only when it is whole: a part would be taken for it, and a copy may be killed at any time.
type draft struct {
	*os.File
	parent int
	name   string // that it has until then; "": none, and the kernel removes it with its last descriptor
}

// openNameless is openat(2), which tests make fail as file systems do that have no such files.
var openNameless = unix.Openat

// newDraft makes one in a directory: without a name where the file system has such files (NFS, FUSE and overlays before Linux 6.1 have not),
// else by a name that says whose it is.
func newDraft(parent int, name string) (*draft, error) {
	fd := -1
	err := sys.Retry(func() (err error) {
		fd, err = openNameless(parent, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err == nil {
		return &draft{File: os.NewFile(uintptr(fd), name), parent: parent}, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) { // open(2), O_TMPFILE
		return nil, &os.PathError{Op: "create", Path: name, Err: err}
	}
	temp := tempName()
	if fd, err = sys.CreateAt(parent, temp, 0o600); err != nil {
		return nil, err
	}
	return &draft{File: os.NewFile(uintptr(fd), name), parent: parent, name: temp}, nil
}

func tempName() string { return ".coracle-cp-" + rand.Text() }

// publish gives it its name, in the place of what has that: there is always the old file or the new one.
func (d *draft) publish(name string) error {
	if d.name == "" {
		err := d.link(name)
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
		temp := tempName()
		if err := d.link(temp); err != nil {
			return err
		}
		d.name = temp
	}
	if err := replaceable(d.parent, name); err != nil {
		return err
	}
	if err := sys.RenameAt(d.parent, d.name, d.parent, name); err != nil {
		return err
	}
	d.name = ""
	return nil
}

// link is linkat(2) of an open file, by the way that needs no capability.
func (d *draft) link(name string) error {
	err := sys.Retry(func() error {
		return unix.Linkat(unix.AT_FDCWD, sys.FDPath(int(d.Fd())), d.parent, name, unix.AT_SYMLINK_FOLLOW)
	})
	if err != nil {
		return fmt.Errorf("linkat %s: %w", name, err)
	}
	return nil
}

// Close removes what was not published.
func (d *draft) Close() error {
	err := d.File.Close()
	if d.name != "" {
		err = errors.Join(err, sys.UnlinkAt(d.parent, d.name))
	}
	return err
}
