package volume

import (
	"context"
	"errors"
	"slices"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Usage is a volume with what it takes and who uses it.
type Usage struct {
	Volume
	Users []User
	fsx.Amount
}

// measureLimit is how many entries of a volume are looked at.
const measureLimit = 20_000

// Usage lists all volumes, and measures them up to a limit.
func (s *Store) Usage() ([]Usage, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	var all []Usage
	for _, v := range list {
		users, err := s.Users(v.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, Usage{Volume: v, Users: users, Amount: fsx.Measure(v.Path, measureLimit)})
	}
	return all, nil
}

// PruneOptions say which unused volumes Prune removes. The zero value: those whose name is a random one.
type PruneOptions struct {
	All    bool              // whatever they are called
	Fits   func(Volume) bool // nil: all fit
	DryRun bool              // remove nothing, and say what would be removed
}

// Prune removes volumes that no run uses, and returns them. What cannot be removed does not stop the rest and is reported.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (removed []Usage, err error) {
	all, err := s.Usage()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, v := range all {
		if len(v.Users) > 0 || !o.All && !v.Anonymous || o.Fits != nil && !o.Fits(v.Volume) {
			continue
		}
		if !o.DryRun {
			err := s.Remove(ctx, v.Name)
			if errors.Is(err, ErrInUse) || errors.Is(err, ErrNotFound) {
				continue // a run has begun to use it, or somebody was first
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		removed = append(removed, v)
	}
	return slices.Clip(removed), errors.Join(errs...)
}
