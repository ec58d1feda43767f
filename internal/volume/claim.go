package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// leavingName is the directory in a volume that holds the claim of the process that is about to remove it: an empty file whose name
// tells the process.
const leavingName = "leaving"

// leavePause is how long to wait between two looks at a volume that is being removed.
const leavePause = 2 * time.Millisecond

// claimPatience is how long a claim may stand: it goes with the volume, which takes one rename. It is changed by tests.
var claimPatience = 10 * time.Second

// claim takes the right to remove a volume, which one process has at a time, and returns what gives it back. It comes into place by
// a rename, which the kernel refuses where another claim is; one of a dead process goes by its name, which no other process has. So
// no two see themselves as the only one, and the volume that was looked at is the one that goes. The error is fs.ErrNotExist when
// there is no volume any more.
func (s *Store) claim(ctx context.Context, name string) (release func() error, err error) {
	if err := fsx.MkdirAll(s.tmp, 0o700); err != nil {
		return nil, err
	}
	temp, err := fsx.TempDir(s.tmp)
	own := filepath.Base(temp)
	if err == nil {
		err = fsx.WriteFile(filepath.Join(temp, own), nil, 0o600)
	}
	if fsx.IsFull(err) {
		return func() error { return nil }, fsx.RemoveAll(temp) // what makes room must not need any
	}
	until := time.Now().Add(claimPatience)
	for err == nil {
		if err = fsx.Rename(temp, s.leavingDir(name)); !fsx.IsNotEmpty(err) {
			break
		}
		err = s.awaitClaim(ctx, name, until)
	}
	if err == nil { // it may have come into a volume that was on its way out, and gone along
		_, err = os.Lstat(filepath.Join(s.leavingDir(name), own))
	}
	if err != nil {
		return nil, errors.Join(err, fsx.RemoveAll(temp))
	}
	return func() error { return s.dropClaim(name, own) }, nil
}

// awaitClaim waits a moment if the claim on a volume is a living process's, and takes away one of a dead process. The error is a
// *ClaimedError when it is late.
func (s *Store) awaitClaim(ctx context.Context, name string, until time.Time) error {
	claims, err := s.claims(name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(claims, isLiving)
	if i < 0 {
		return s.dropClaim(name, claims...)
	}
	if time.Now().After(until) {
		return &ClaimedError{Volume: name, Path: filepath.Join(s.leavingDir(name), claims[i])}
	}
	return pause(ctx)
}

// dropClaim takes claims away, and their directory if there is no other in it.
func (s *Store) dropClaim(name string, claims ...string) error {
	for _, c := range claims {
		if err := fsx.IgnoreMissing(os.Remove(filepath.Join(s.leavingDir(name), c))); err != nil {
			return err
		}
	}
	if err := os.Remove(s.leavingDir(name)); !fsx.IsNotEmpty(err) {
		return fsx.IgnoreMissing(err)
	}
	return nil
}

func (s *Store) leavingDir(name string) string { return filepath.Join(s.volumeDir(name), leavingName) }

// leaves reports whether a living process is removing a volume.
func (s *Store) leaves(name string) (bool, error) {
	claims, err := s.claims(name)
	return slices.ContainsFunc(claims, isLiving), err
}

func (s *Store) claims(name string) ([]string, error) {
	entries, err := os.ReadDir(s.leavingDir(name))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, fsx.IgnoreMissing(err)
}

func isLiving(claim string) bool {
	owner, ok := fsx.TempOwner(claim)
	return ok && !owner.Dead()
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(leavePause):
		return nil
	}
}
