package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
)

// errBadLease is a lease that cannot be parsed.
var errBadLease = errors.New("damaged lease")

// Reclaim removes what dead processes left: uppers, unpublished layers and images, half-removed trees. It returns the
// leases of the uppers it removed, so that the caller can close their records. Only what has a provably dead owner is
// touched; live runs, other hosts' processes and other reclaimers are not disturbed: whatever two of them find, one of them
// gets. With nothing to do it costs six readdirs and a look at each live lease. What cannot be removed does not stop the
// rest; it is left for the next time and reported.
func (s *Store) Reclaim() (dead []Lease, err error) {
	var errs []error
	for _, dir := range s.temps() {
		errs = append(errs, s.reclaimTmp(dir))
	}
	errs = append(errs, s.reclaimStacks(), s.reclaimRetired(), s.reclaimLocks())
	ids, err := os.ReadDir(s.upperDir())
	errs = append(errs, err)
	for _, id := range ids {
		lease, removed, err := s.reclaimUpper(filepath.Join(s.upperDir(), id.Name()))
		if removed && lease.Run != "" {
			dead = append(dead, lease)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return dead, fmt.Errorf("reclaiming what dead runs left: %w", err)
	}
	return dead, nil
}

// temps are the directories of temporary names, some of which may not be there.
func (s *Store) temps() []string {
	dirs := append(s.dirs.Temps(), s.tmp())
	if s.dirs.Data != s.dirs.Layers {
		dirs = append(dirs, s.dataTmp())
	}
	return dirs
}

// reclaimTmp removes the entries of dead owners from a directory of temporary names. Names of another making are left.
func (s *Store) reclaimTmp(dir string) error {
	paths, err := fsx.DeadTemps(dir)
	errs := []error{fsx.IgnoreMissing(err)}
	for _, path := range paths {
		if isMark(path) {
			if err := s.followMark(path); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		errs = append(errs, s.roots.Remove(path))
	}
	return errors.Join(errs...)
}

// reclaimRetired removes the retired trees that no live run holds.
func (s *Store) reclaimRetired() error {
	names, err := s.unleasedRetired()
	errs := []error{err}
	for _, name := range names {
		_, err := s.roots.Discard(filepath.Join(s.retiredDir(), name), s.tmp())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Store) unleasedRetired() (names []string, err error) {
	entries, err := os.ReadDir(s.retiredDir())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		hex, _, _ := strings.Cut(e.Name(), ".")
		leased, err := s.leased(digest.NewDigestFromEncoded(digest.SHA256, hex))
		if err != nil {
			return nil, err
		}
		if !leased {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// reclaimLocks removes the files of locks nobody holds. A lock that is let go of takes its file with it, so these are of
// processes that were killed.
func (s *Store) reclaimLocks() error {
	fd, err := s.roots.Open(s.locksDir())
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), s.locksDir())
	names, err := dir.Readdirnames(-1)
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, fsx.RemoveLock(dir, name))
	}
	return errors.Join(append(errs, dir.Close())...)
}

// ReclaimUpper removes one upper, of an id, if its owner is dead, and reports whether that is so.
func (s *Store) ReclaimUpper(id string) (removed bool, err error) {
	if _, removed, err = s.reclaimUpper(s.UpperDir(id)); err != nil {
		return false, fmt.Errorf("reclaiming what a dead run left: %w", err)
	}
	return removed, nil
}

// reclaimUpper removes an upper whose owner is dead.
func (s *Store) reclaimUpper(dir string) (lease Lease, removed bool, err error) {
	lease, dead, err := judgeUpper(dir)
	if err != nil || !dead {
		return Lease{}, false, err
	}
	if s.follow != nil {
		if err := s.follow(lease); err != nil {
			return Lease{}, false, err
		}
	}
	removed, err = s.roots.Discard(dir, s.tmp())
	return lease, removed, err
}

// judgeUpper reports whether the owner of an upper is dead. A lease appears together with its upper and whole, for every
// process of the boot that wrote it; one that is missing or cannot be parsed can only be what a power cut left.
func judgeUpper(dir string) (lease Lease, dead bool, err error) {
	lease, err = readLease(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err := os.Lstat(dir)
		return Lease{}, err == nil, nil // else its run has just removed it
	case errors.Is(err, errBadLease):
		return Lease{}, true, nil
	case err != nil:
		return Lease{}, false, err
	}
	return lease, lease.Owner.Dead(), nil
}
