package volume

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
)

// User is a run that uses a volume.
type User struct {
	ID    string     `json:"id"`
	Name  string     `json:"name,omitempty"`
	Run   string     `json:"run"`   // absolute directory of its record
	Owner host.Owner `json:"owner"` // its supervisor
}

// label names a run for a person.
func (u User) label() string {
	text := "run " + u.ID
	if u.Name != "" {
		text += " (" + u.Name + ")"
	}
	if u.elsewhere() {
		text += " on " + u.Owner.Host
	}
	return text
}

// elsewhere: whether it still lives cannot be told here.
func (u User) elsewhere() bool { return errors.Is(u.Owner.Here(), host.ErrElsewhere) }

// over reports whether a run no longer uses anything. On another node that is seen by its result.
func (u User) over() bool { return u.Owner.Dead() || u.elsewhere() && record.HasResult(u.Run) }

// Lease is the use of a volume by a run.
type Lease struct {
	Volume
	Made bool // the volume was not there before

	store *Store
	path  string
}

// mostOfFile is how long a file of a volume may be that is read into memory, far more than any that Coracle writes.
const mostOfFile = 1 << 20

// Use takes a lease on a volume, which is made when it is not there. Release ends it.
func (s *Store) Use(ctx context.Context, v Volume, by User) (*Lease, error) {
	raw, err := json.MarshalIndent(by, "", "  ")
	if err != nil {
		return nil, err
	}
	made, until := false, time.Now().Add(claimPatience)
	for {
		found, isNew, err := s.Create(v)
		made = made || isNew
		if errors.Is(err, ErrNotFound) {
			continue // somebody has just removed it
		}
		if err != nil {
			return nil, err
		}
		l := &Lease{Volume: found, Made: made, store: s, path: filepath.Join(s.volumeDir(v.Name), usersName, by.ID)}
		err = fsx.WriteVia(s.tmp, l.path, raw, 0o600)
		leaves := false
		if err == nil {
			leaves, err = s.leaves(v.Name)
		}
		if err == nil && !leaves {
			if _, err = os.Lstat(l.path); err == nil { // else it went, and took the claim along
				return l, nil
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("using volume %s: %w", v.Name, err)
		}
		if err := errors.Join(l.Release(), s.awaitClaim(ctx, v.Name, until)); err != nil {
			return nil, err
		}
		// What restores a backup may leave out a directory that was empty.
		if err := os.Mkdir(filepath.Join(s.volumeDir(v.Name), usersName), 0o700); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("using volume %s: %w", v.Name, err)
		}
	}
}

// Release ends the lease; a second call does nothing.
func (l *Lease) Release() error {
	if err := fsx.IgnoreMissing(os.Remove(l.path)); err != nil {
		return fmt.Errorf("releasing volume %s: %w", l.Name, err)
	}
	return nil
}

// Users are the runs that use a volume. The leases of those that are over are cleared away.
func (s *Store) Users(name string) ([]User, error) {
	dir := filepath.Join(s.volumeDir(name), usersName)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for users of volume %s: %w", name, err)
	}
	var users []User
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		raw, err := fsx.ReadRegular(path, mostOfFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for users of volume %s: %w", name, err)
		}
		var u User
		// A lease appears whole; one that cannot be parsed is what a power cut left of a run that it ended.
		if json.Unmarshal(raw, &u) != nil || u.over() {
			if err := fsx.IgnoreMissing(os.Remove(path)); err != nil {
				return nil, fmt.Errorf("clearing a lease of volume %s: %w", name, err)
			}
			continue
		}
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.ID, b.ID) })
	return users, nil
}
