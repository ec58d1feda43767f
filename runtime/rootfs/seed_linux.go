package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// Seed gives an empty volume what the image has in its place, as docker does. All directories but Target are the caller's. The copy
// is made in Staging and renamed to Ready when it is complete; from there its entries are moved into Data one by one. One that is
// killed on the way is done again from where Ready stands.
type Seed struct {
	Target  []byte `json:"target"`  // in the image; empty: only what is Ready is moved on
	Staging string `json:"staging"` // empty
	Ready   string `json:"ready"`   // may be there
	Data    string `json:"data"`
}

// Fill seeds from the root file system at root, in which nothing runs. The image's links lead nowhere but into it. What is there
// already when an entry is moved stays.
func (s Seed) Fill(root string) error {
	err := s.fill(root)
	if err != nil {
		return fmt.Errorf("%s: copying what the image has there into the volume: %w", s.Target, err)
	}
	return nil
}

func (s Seed) fill(root string) error {
	data, err := sys.OpenDir(s.Data)
	if err != nil {
		return err
	}
	defer sys.Close(data) // read only
	ready, err := sys.OpenDir(s.Ready)
	if errors.Is(err, fs.ErrNotExist) {
		names, err := namesIn(data)
		if err != nil || len(names) > 0 || len(s.Target) == 0 {
			return err // another volume of this run's has filled it
		}
		if found, err := s.copy(root); !found || err != nil {
			return err
		}
		if ready, err = sys.OpenDir(s.Ready); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := errors.Join(move(ready, data), sys.Close(ready)); err != nil {
		return err
	}
	return fsx.RemoveAll(s.Ready)
}

// copy makes the copy; found is false where the image has no directory.
func (s Seed) copy(root string) (found bool, err error) {
	dir, err := sys.OpenDir(root)
	if err != nil {
		return false, err
	}
	defer sys.Close(dir) // read only
	source, err := sys.OpenInRoot(dir, string(s.Target), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return false, nil // what is wrong with it is told when it is mounted on
	}
	if err != nil {
		return false, err
	}
	defer sys.Close(source) // read only
	staging, err := sys.OpenDir(s.Staging)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, sys.Close(staging)) }()
	const name = "copy"
	if err := sys.MkdirAt(staging, name, 0o700); err != nil {
		return false, err
	}
	target, err := sys.OpenDirAt(staging, name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, sys.Close(target)) }()
	c := copier{plain: true}
	if err := c.merge(source, target); err != nil {
		return false, err
	}
	st, err := sys.Stat(source, string(s.Target))
	if err == nil {
		err = makeLike(target, st)
	}
	if err != nil {
		return false, err
	}
	return true, fsx.Rename(filepath.Join(s.Staging, name), s.Ready)
}

// makeLike gives a directory the owner, the mode and the date of another one.
func makeLike(dir int, st unix.Stat_t) error {
	have, err := sys.Stat(dir, ".")
	if err != nil {
		return err
	}
	if have.Uid != st.Uid || have.Gid != st.Gid {
		if err := unix.Fchown(dir, int(st.Uid), int(st.Gid)); err != nil {
			return &fs.PathError{Op: "fchown", Path: ".", Err: err}
		}
	}
	return errors.Join(sys.Chmod(dir, ".", st.Mode&0o7777), sys.SetMtime(dir, ".", mtime(st)))
}

// move moves the entries of one directory to another one, and then makes that like the first was.
func move(from, to int) error {
	st, err := sys.Stat(from, ".")
	if err != nil {
		return err
	}
	names, err := namesIn(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := sys.RenameNewAt(from, name, to, name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return makeLike(to, st)
}
