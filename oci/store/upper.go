package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/undo"
)

// Lease says that a live process uses an image and an upper. It holds for as long as its owner is not provably dead.
type Lease struct {
	Owner   host.Owner      `json:"owner"`
	Run     string          `json:"run"`  // absolute directory of the run's record; "": of several, which have leases of their own
	Name    string          `json:"name"` // of the run; may be empty
	Image   string          `json:"image"`
	Digest  digest.Digest   `json:"digest"`         // of the image's manifest
	Data    []digest.Digest `json:"data,omitempty"` // of the images' that are mounted
	Layers  []digest.Digest `json:"layers"`         // of all of them
	Created time.Time       `json:"created"`

	Cgroups []string `json:"cgroups,omitempty"` // directories of control groups that are to go with the run

	Scope string `json:"scope,omitempty"` // of a Mark: a unit of a systemd manager's that is to go with the run,
	Bus   string `json:"bus,omitempty"`   // and the path of the manager's socket
}

func (l Lease) holds(d digest.Digest) bool { return slices.Contains(l.Layers, d) }

// images are those that the run uses.
func (l Lease) images() []digest.Digest { return append([]digest.Digest{l.Digest}, l.Data...) }

// label names the run for a person.
func (l Lease) label() string {
	if l.Name != "" {
		return l.Name
	}
	if l.Run == "" {
		return "a container that several runs share"
	}
	return filepath.Base(l.Run)
}

// leaseName is the file of the lease in an upper's directory.
const leaseName = "lease.json"

// Upper is a run's private writable layer: what overlayfs gets as its upper and work directory.
type Upper struct {
	store *Store
	dir   string
	held  *os.File // the lock on the layer root

	kept   string // the directory of a kept layer that takes what the job writes; "": this one
	holder Holder // of that
}

// NewUpper makes the upper of a run together with its lease: both appear at once, so that from then on the layers of the
// lease stay. The caller looks for missing layers after this call, not only before. The id is the run's; ErrExists means
// that it is taken. An empty Owner or Created is filled in.
func (s *Store) NewUpper(id string, lease Lease) (*Upper, error) {
	u, err := s.newUpper(id, lease)
	if err != nil {
		return nil, fmt.Errorf("making the writable layer of run %s: %w", id, err)
	}
	return u, nil
}

func (s *Store) newUpper(id string, lease Lease) (_ *Upper, err error) {
	if id == "" || strings.ContainsAny(id, "/\x00") || strings.HasPrefix(id, ".") {
		return nil, fmt.Errorf("%q is no run id", id)
	}
	if lease.Owner == (host.Owner{}) {
		lease.Owner = s.self
	}
	if lease.Created.IsZero() {
		lease.Created = time.Now().UTC()
	}
	raw, err := json.MarshalIndent(lease, "", "  ")
	if err != nil {
		return nil, err
	}
	dir, err := fsx.TempDir(s.tmp())
	if err != nil {
		return nil, err
	}
	var cleanup undo.Stack
	defer func() { err = errors.Join(err, cleanup.Run()) }()
	cleanup.Add(func() error { return fsx.RemoveAll(dir) })
	if err := fsx.WriteFile(filepath.Join(dir, leaseName), raw, 0o600); err != nil {
		return nil, err
	}
	// The upper's own mode is what the container sees of its root directory.
	for name, mode := range map[string]os.FileMode{"fs": 0o755, "work": 0o700} {
		if err := fsx.MkdirMode(filepath.Join(dir, name), mode); err != nil {
			return nil, err
		}
	}
	held, err := fsx.Hold(s.dirs.Layers)
	if err != nil {
		return nil, err
	}
	cleanup.Add(held.Close)
	u := &Upper{store: s, dir: s.UpperDir(id), held: held}
	if err := fsx.Rename(dir, u.dir); err != nil {
		if fsx.IsNotEmpty(err) {
			err = fmt.Errorf("%s: %w", u.dir, ErrExists)
		}
		return nil, err
	}
	cleanup.Release()
	return u, nil
}

// UpperDir is where the upper of a run is, has been or will be (Upper.Dir).
func (s *Store) UpperDir(id string) string { return filepath.Join(s.upperDir(), id) }

// Dir is the directory that holds the lease and those below.
func (u *Upper) Dir() string { return u.dir }

// Extra is a directory for what else the run writes. It is the caller's to make, and goes with the rest.
func (u *Upper) Extra() string { return filepath.Join(u.dir, "extra") }

// FS is the overlay's upper directory.
func (u *Upper) FS() string { return filepath.Join(cmp.Or(u.kept, u.dir), "fs") }

// Work is the overlay's work directory.
func (u *Upper) Work() string { return filepath.Join(cmp.Or(u.kept, u.dir), "work") }

// Root is the directory below which the two are. What is in it may be among a job's volumes, and not it itself.
func (u *Upper) Root() string { return u.store.dirs.Layers }

// Way is the file of a kept layer that says in which way its root is made; "": the upper goes with the run.
func (u *Upper) Way() string {
	if u.kept == "" {
		return ""
	}
	return filepath.Join(u.kept, keptWay)
}

// Empty removes what the run wrote, but for what is kept; its mounts are gone by then. The lease stays, and Remove has less to do.
func (u *Upper) Empty() error {
	var errs []error
	for _, name := range []string{"fs", "work", "extra"} {
		errs = append(errs, u.store.roots.Remove(filepath.Join(u.dir, name)))
	}
	err := errors.Join(errs...)
	if err != nil {
		return fmt.Errorf("emptying the writable layer: %w", err)
	}
	return nil
}

// Renew has the upper taken by another mount, once that before is gone: the kernel leaves in the work directory of one that need not be
// synced that it is not to be used again (work/incompat/volatile).
func (u *Upper) Renew() error {
	err := u.store.roots.Remove(u.Work())
	if err == nil {
		err = fsx.MkdirMode(u.Work(), 0o700)
	}
	if err != nil {
		return fmt.Errorf("making the writable layer ready again: %w", err)
	}
	return nil
}

// Leave ends the lease at once and moves the upper to where it belongs to this process alone, for another to Sweep, or to be
// reclaimed when this one is dead. It returns the path.
func (u *Upper) Leave() (path string, err error) {
	letErr := u.LetGo()
	path, err = u.store.moveAway(u.dir)
	if err = errors.Join(letErr, err, u.held.Close()); err != nil {
		return path, fmt.Errorf("moving the writable layer away: %w", err)
	}
	return path, nil
}

// TakeUpper is an upper that another process has made, and that is this one's now to Leave or Remove. The error wraps fs.ErrNotExist
// where there is none.
func (s *Store) TakeUpper(id string) (*Upper, error) {
	dir := filepath.Join(s.upperDir(), id)
	if _, err := os.Lstat(dir); err != nil {
		return nil, fmt.Errorf("taking the writable layer %s: %w", id, err)
	}
	held, err := fsx.Hold(s.dirs.Layers)
	if err != nil {
		return nil, fmt.Errorf("taking the writable layer %s: %w", id, err)
	}
	return &Upper{store: s, dir: dir, held: held}, nil
}

// Sweep removes what another process has left to this one. taken is called when it belongs to this process: the other may end
// from then on. It may be at removing it itself, until it ends.
func (s *Store) Sweep(path string, taken func()) error {
	if _, ok := fsx.TempOwner(filepath.Base(path)); !ok || filepath.Dir(path) != s.tmp() {
		return fmt.Errorf("sweeping: %s is not what a run has left", path)
	}
	own, err := s.moveAway(path)
	taken()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was first
	}
	for try := 0; err == nil && own != "" && try < sweeps; try++ {
		if err = s.roots.RemoveAll(own); errors.Is(err, fs.ErrNotExist) {
			err = nil
			continue
		}
		break
	}
	if err != nil {
		return fmt.Errorf("sweeping: %w", err)
	}
	return nil
}

// sweeps is how often a tree is gone through that somebody else removes files of.
const sweeps = 8

// moveAway gives a directory of the layer root's file system a name that says that it is this process's.
func (s *Store) moveAway(path string) (string, error) {
	name, err := fsx.TempName()
	if err != nil {
		return "", err
	}
	own := filepath.Join(s.tmp(), name)
	return own, fsx.Rename(path, own)
}

// Remove ends the lease and removes the upper with everything the run wrote. The lease ends at once; a second call does
// nothing.
func (u *Upper) Remove() error {
	letErr := u.LetGo()
	_, err := u.store.roots.Discard(u.dir, u.store.tmp())
	err = errors.Join(err, letErr)
	if closeErr := u.held.Close(); !errors.Is(closeErr, os.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	if err != nil {
		return fmt.Errorf("removing the writable layer: %w", err)
	}
	return nil
}

// Leases are the leases of all uppers, those of dead owners included, the oldest first.
func (s *Store) Leases() ([]Lease, error) {
	ids, err := os.ReadDir(s.upperDir())
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	var leases []Lease
	for _, id := range ids {
		if l, err := readLease(filepath.Join(s.upperDir(), id.Name())); err == nil {
			leases = append(leases, l)
		}
	}
	slices.SortStableFunc(leases, func(a, b Lease) int { return a.Created.Compare(b.Created) })
	return leases, nil
}

// RenameLease gives the run of a lease another name. The error is fs.ErrNotExist when it has ended meanwhile, or its lease is elsewhere.
// The caller holds LockName of it.
func (s *Store) RenameLease(id, name string) error {
	dir := filepath.Join(s.upperDir(), filepath.Base(id))
	lease, err := readLease(dir)
	if err != nil {
		return fmt.Errorf("renaming the lease of run %s: %w", id, err)
	}
	lease.Name = name
	raw, err := json.MarshalIndent(lease, "", "  ")
	if err != nil {
		return err
	}
	return fsx.WriteFile(filepath.Join(dir, leaseName), raw, 0o600) // beside it: what a killed process leaves there goes with the run
}

// Lease is that of one upper. The error wraps fs.ErrNotExist where there is none.
func (s *Store) Lease(id string) (Lease, error) { return readLease(s.UpperDir(id)) }

func readLease(dir string) (Lease, error) { return parseLease(filepath.Join(dir, leaseName)) }

func parseLease(path string) (Lease, error) {
	raw, err := fsx.ReadRegular(path, mostOfFile)
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if err := json.Unmarshal(raw, &l); err != nil {
		return Lease{}, fmt.Errorf("%s: %w: %w", path, errBadLease, err)
	}
	return l, nil
}
