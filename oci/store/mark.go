package store

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
)

// markPrefix begins the last field of the name of a mark, which is a temporary name otherwise.
const markPrefix = "mark-"

// Mark notes that this process is about to make something outside of the store, before it has a writable layer whose lease could say so.
// When it dies, FollowDead's function gets the lease. What Mark returns takes the note back.
func (s *Store) Mark(lease Lease) (remove func() error, err error) {
	lease.Owner = s.self
	raw, err := json.Marshal(lease)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.tmp(), fsx.TempNameOf(s.self, markPrefix+rand.Text()))
	if err := fsx.WriteFile(path, raw, 0o600); err != nil {
		return nil, fmt.Errorf("noting what the run makes: %w", err)
	}
	return func() error { return fsx.RemoveAll(path) }, nil
}

func isMark(path string) bool {
	return strings.HasPrefix(path[strings.LastIndexByte(path, '.')+1:], markPrefix)
}

// followMark has what a dead process made outside of the store removed. A mark that is not whole was made before anything else.
func (s *Store) followMark(path string) error {
	lease, err := parseLease(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBadLease) || err == nil && s.follow == nil {
		return nil
	}
	if err != nil {
		return err
	}
	return s.follow(lease)
}
