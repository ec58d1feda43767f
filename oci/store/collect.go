package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Collected says what Collect has removed, or would remove.
type Collected struct {
	DryRun  bool     `json:"dry_run"`
	Uppers  []Item   `json:"uppers"`         // writable layers of runs whose process is dead, by run
	Temps   []Item   `json:"temps"`          // what a dead process was making or removing
	Retired []Item   `json:"retired"`        // trees that were not to be trusted any more, and that no run uses now
	Locks   []string `json:"locks"`          // files of locks that nobody holds
	Cgroups []string `json:"control_groups"` // directories of control groups of dead runs
	Scopes  []string `json:"scopes"`         // systemd's units of dead runs
	Bytes   int64    `json:"bytes"`          // of file content in all of them

	Dead []Lease `json:"-"` // of the uppers, so that the caller can close the records of their runs
}

// Collect is Reclaim that says what it does, or with dryRun what it would do. What cannot be removed does not stop the rest.
func (s *Store) Collect(dryRun bool) (Collected, error) {
	c := Collected{DryRun: dryRun, Uppers: []Item{}, Temps: []Item{}, Retired: []Item{}, Locks: []string{}, Cgroups: []string{}, Scopes: []string{}}
	remains, err := s.remains()
	found := make([]remainder, len(remains))
	for i, r := range remains {
		found[i] = s.examine(r)
	}
	locks, lockErr := s.freeLocks()
	err = errors.Join(err, lockErr)
	if !dryRun {
		var reclaimErr error
		c.Dead, reclaimErr = s.Reclaim()
		err = errors.Join(err, reclaimErr)
	}
	gone := func(path string) bool {
		_, err := os.Lstat(path)
		return dryRun || errors.Is(err, fs.ErrNotExist)
	}
	for _, r := range found {
		if gone(r.path) { // else it could not be removed, which has been told
			c.add(r)
		}
	}
	for _, path := range locks {
		if gone(path) {
			c.Locks = append(c.Locks, filepath.Base(path))
		}
	}
	if err != nil {
		return c, fmt.Errorf("removing what dead runs left: %w", err)
	}
	return c, nil
}

// remainder is a remnant before it goes.
type remainder struct {
	remnant
	bytes   int64
	cgroups []string // that are there
	scope   string
}

// examine measures what a dead process left, and what its lease leads to.
func (s *Store) examine(r remnant) remainder {
	found := remainder{remnant: r, bytes: fsx.Measure(r.path, 0).Bytes}
	var lease Lease
	switch {
	case r.upper:
		lease, _ = readLease(r.path) // without one there is nothing else
	case isMark(r.path):
		lease, _ = parseLease(r.path) // likewise
	}
	found.scope = lease.Scope
	for _, dir := range lease.Cgroups {
		if _, err := os.Lstat(dir); err == nil {
			found.cgroups = append(found.cgroups, dir)
		}
	}
	return found
}

func (c *Collected) add(r remainder) {
	list := &c.Temps
	switch {
	case r.upper:
		list = &c.Uppers
	case filepath.Base(filepath.Dir(r.path)) == retiredName:
		list = &c.Retired
	}
	*list = append(*list, Item{Name: filepath.Base(r.path), Bytes: r.bytes})
	c.Bytes += r.bytes
	c.Cgroups = append(c.Cgroups, r.cgroups...)
	if r.scope != "" {
		c.Scopes = append(c.Scopes, r.scope)
	}
}

// freeLocks are the files of locks that nobody holds.
func (s *Store) freeLocks() (paths []string, err error) {
	entries, err := os.ReadDir(s.locksDir())
	errs := []error{err}
	for _, e := range entries {
		path := filepath.Join(s.locksDir(), e.Name())
		f, err := fsx.OpenRegular(path)
		if err != nil {
			continue // its holder has just removed it
		}
		locked, err := fsx.IsLocked(f)
		if errs = append(errs, err, f.Close()); err == nil && !locked {
			paths = append(paths, path)
		}
	}
	return paths, errors.Join(errs...)
}
