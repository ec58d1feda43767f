package store

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// Lock waits until no other process fetches what has this digest, an image or a layer; busy is called once if it has to
// wait. It is a hint that saves work: look again whether the thing is there when it returns, and publish as if there were
// no lock.
func (s *Store) Lock(ctx context.Context, d digest.Digest, busy func()) (unlock func() error, err error) {
	if err := blob.CheckDigest(d); err != nil {
		return nil, err
	}
	path := filepath.Join(s.locksDir(), d.Encoded())
	unlock, err = fsx.TryLock(path)
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return unlock, err
	}
	busy()
	return fsx.Lock(ctx, path)
}

// LockName takes a lock on the name of a run, waiting for whoever holds it: of two that ask for one name the second finds the lease
// of the first. The name must be one that can be part of a path.
func (s *Store) LockName(ctx context.Context, name string) (unlock func() error, err error) {
	return fsx.Lock(ctx, filepath.Join(s.locksDir(), "name-"+name))
}

// IsLocked reports whether a process holds the Lock of a digest: it is bringing the image or the layer.
func (s *Store) IsLocked(d digest.Digest) bool {
	if blob.CheckDigest(d) != nil {
		return false
	}
	f, err := fsx.OpenRegular(filepath.Join(s.locksDir(), d.Encoded()))
	if err != nil {
		return false // locks that nobody holds are not there
	}
	locked, err := fsx.IsLocked(f)
	return errors.Join(err, f.Close()) == nil && locked
}

// lockRemoval keeps those who take things out of the store, and Check, out of each other's way. Like Lock it is a hint.
func (s *Store) lockRemoval(ctx context.Context) (unlock func() error, err error) {
	return fsx.Lock(ctx, filepath.Join(s.locksDir(), "remove"))
}
