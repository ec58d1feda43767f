package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Remove removes a volume with its files, waiting for whoever else is about to. The errors are ErrNotFound and ErrInUse.
func (s *Store) Remove(ctx context.Context, name string) error {
	if _, err := s.Get(name); err != nil {
		return err
	}
	if err := s.checkUnused(name); err != nil {
		return err
	}
	release, err := s.claim(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was first
	}
	if err != nil {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	if err := s.checkUnused(name); err != nil {
		return errors.Join(err, release())
	}
	away, err := fsx.TempName()
	if err == nil {
		away = filepath.Join(s.tmp, away)
		err = fsx.Rename(s.volumeDir(name), away)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was first, on a full disk
	}
	if err != nil {
		return errors.Join(fmt.Errorf("removing volume %s: %w", name, err), release())
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
