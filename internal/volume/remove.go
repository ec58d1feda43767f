package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

const leavingName = "leaving"

// Remove removes a volume with its files. The errors are ErrNotFound and ErrInUse.
func (s *Store) Remove(name string) error {
	if _, err := s.Get(name); err != nil {
		return err
	}
	if err := s.checkUnused(name); err != nil {
		return err
	}
	unmark, err := s.mark(name)
	if err != nil {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	if err := s.checkUnused(name); err != nil {
		return errors.Join(err, unmark())
	}
	away, err := fsx.TempName()
	if err == nil {
		away = filepath.Join(s.tmp, away)
		err = fsx.Rename(s.volumeDir(name), away)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was first
	}
	if err != nil {
		return errors.Join(fmt.Errorf("removing volume %s: %w", name, err), unmark())
	}
	if err := s.removeAll(away); err != nil {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	return nil
}

func (s *Store) checkUnused(name string) error {
	users, err := s.Users(name)
	if err == nil && len(users) > 0 {
		err = &InUseError{Volume: name, Users: users}
	}
	return err
}

// removeAll removes a tree, whoever its files belong to.
func (s *Store) removeAll(path string) error {
	err := fsx.RemoveAll(path)
	if s.foreign == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return s.foreign(path)
}

// mark marks a volume as leaving and returns what takes that back. The mark of a dead process is replaced, and that of a living one
// serves as well: whoever of the two comes second finds nothing to rename.
func (s *Store) mark(name string) (unmark func() error, err error) {
	text, err := fsx.TempName()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.volumeDir(name), leavingName)
	for range 2 {
		if err := fsx.Step("mark", path); err != nil {
			return nil, err
		}
		if err = os.Symlink(text, path); !errors.Is(err, fs.ErrExist) || s.leaves(name) {
			break
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if fsx.IsFull(err) || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return func() error { return nil }, nil // what makes room must not need any
	}
	return func() error { return os.Remove(path) }, err
}

// leaves reports whether a living process is removing a volume.
func (s *Store) leaves(name string) bool {
	text, err := os.Readlink(filepath.Join(s.volumeDir(name), leavingName))
	if err != nil {
		return false
	}
	owner, ok := fsx.TempOwner(text)
	return ok && !owner.Dead()
}
