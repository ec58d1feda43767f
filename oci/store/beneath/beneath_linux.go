// Package beneath moves and removes what is below the roots of a store, and lets no link lead elsewhere on the way from there (as
// openat2(2) does with RESOLVE_BENEATH): a job that has the store among its volumes may have put one in the place of a directory, to
// where the names are those of others.
package beneath

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// Roots are the directories below which everything is, absolute: the first counts that a path is below.
type Roots struct {
	Dirs []string

	// Foreign removes a tree with files of other users, which RemoveAll and Remove cannot; nil: nobody can.
	Foreign func(path string) error
}

// RemoveAll removes a tree, whoever its files belong to. Links on the way to it are followed: it is for what nobody else can reach.
func (r *Roots) RemoveAll(path string) error { return r.foreign(path, fsx.RemoveAll(path)) }

func (r *Roots) foreign(path string, err error) error {
	if r.Foreign == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return r.Foreign(path)
}

// Remove is RemoveAll to which no link leads. What is not there is removed.
func (r *Roots) Remove(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("removing %s: %w", path, err)
		}
	}()
	dir, err := r.Open(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	if err = fsx.Step("remove", path); err == nil {
		err = fsx.RemoveAllAt(dir, filepath.Base(path))
	}
	return r.foreign(path, err)
}

// Open opens a directory to which no link leads.
func (r *Roots) Open(path string) (dir int, err error) {
	var from, inside string
	for _, from = range r.Dirs {
		if inside, err = filepath.Rel(from, path); err != nil {
			return -1, err
		}
		if filepath.IsLocal(inside) {
			break
		}
	}
	root, err := sys.OpenDir(from)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	return sys.OpenBeneath(root, inside, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// Rename is fsx.Rename between two directories to which no link leads.
func (r *Roots) Rename(from, to string) error {
	if err := fsx.Step("rename", to); err != nil {
		return err
	}
	source, err := r.Open(filepath.Dir(from))
	if err != nil {
		return err
	}
	target, err := r.Open(filepath.Dir(to))
	if err != nil {
		return errors.Join(err, sys.Close(source))
	}
	err = sys.RenameAt(source, filepath.Base(from), target, filepath.Base(to))
	return errors.Join(err, sys.Close(source), sys.Close(target))
}

// Discard makes a directory vanish at once, by moving it to tmp on the same file system, and then removes it. moved is
// false when another process was first; that one removes it. No link leads to either place.
func (r *Roots) Discard(path, tmp string) (moved bool, err error) {
	name, err := fsx.TempName()
	if err != nil {
		return false, err
	}
	gone := filepath.Join(tmp, name)
	if err := r.Rename(path, gone); err != nil {
		return false, fsx.IgnoreMissing(err)
	}
	return true, r.Remove(gone)
}
