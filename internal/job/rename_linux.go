package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Rename gives a run another name, which no living run may have. That of a living one is its lease's, and is taken as a new run takes
// its own.
func Rename(ctx context.Context, s *store.Store, runs *record.Runs, v record.View, name string) (err error) {
	if name == "" {
		return fmt.Errorf("%w: the name is empty", spec.ErrOption)
	}
	if err := checkNames(name, ""); err != nil {
		return err
	}
	unlock, err := s.LockName(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := checkName(s, name, v.ID); err != nil {
		return err
	}
	if v.State == record.Running {
		if err := renameLiving(s, runs, v, name); err != nil {
			return err
		}
	}
	return runs.Rename(v.ID, name)
}

// renameLiving gives the name to a run that went on a moment ago.
func renameLiving(s *store.Store, runs *record.Runs, v record.View, name string) error {
	err := s.RenameLease(v.ID, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v, err = runs.Get(v.ID); err != nil || v.State != record.Running {
		return err // it has ended, and has no lease any more
	}
	return fmt.Errorf("run %s: %w: on %s, or with another --layers", v.ID, host.ErrElsewhere, v.Host.Hostname)
}
