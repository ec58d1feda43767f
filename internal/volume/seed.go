package volume

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Seeding brings what an image has into an empty volume: Staging is filled, becomes Ready by rename, and from there each entry goes
// into the volume by rename. Whoever is killed on the way leaves nothing but time behind: Staging is cleared away, and what is in
// Ready the next run moves on. The volume's directory stays the same one, for it may be mounted.
type Seeding struct {
	Staging string // made, empty
	Ready   string
	Data    string
	unlock  func() error
}

// Seed begins to seed, waiting for another run that is at it; nil when the volume has content and nothing is left to be moved. An
// empty one is only seeded if wanted. End must follow.
func (l *Lease) Seed(ctx context.Context, wanted bool) (_ *Seeding, err error) {
	if done, err := l.seeded(wanted); done || err != nil {
		return nil, err
	}
	unlock, err := fsx.Lock(ctx, filepath.Join(filepath.Dir(l.Path), lockName))
	if err != nil {
		return nil, err
	}
	defer func() {
		if unlock != nil {
			err = errors.Join(err, unlock())
		}
	}()
	if done, err := l.seeded(wanted); done || err != nil {
		return nil, err
	}
	staging, err := fsx.TempDir(l.store.tmp)
	if err != nil {
		return nil, err
	}
	release := unlock
	unlock = nil // End does it
	return &Seeding{
		Staging: staging, Ready: filepath.Join(filepath.Dir(l.Path), seedName), Data: l.Path,
		unlock: func() error { return errors.Join(l.store.removeAll(staging), release()) },
	}, nil
}

// seeded looks at the content first: before any of it is there, what it comes from is.
func (l *Lease) seeded(wanted bool) (bool, error) {
	empty, err := isEmpty(l.Path)
	if empty && wanted || err != nil {
		return false, err
	}
	_, err = os.Lstat(filepath.Join(filepath.Dir(l.Path), seedName))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}

// End lets others at it.
func (s *Seeding) End() error { return s.unlock() }

// isEmpty reports whether a directory has no entries. One that the caller may not read has some: it was given to somebody else.
func isEmpty(dir string) (empty bool, err error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}
