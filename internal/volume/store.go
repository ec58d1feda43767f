package volume

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Store is where volumes are. It holds no open files; any number of processes may use one directory.
type Store struct {
	dir, tmp string
	foreign  func(path string) error
}

// Open returns the volumes below a data directory, which is there. foreign removes trees with files of the caller's subordinate
// ids; nil: nobody can.
func Open(data string, foreign func(path string) error) *Store {
	return &Store{dir: filepath.Join(data, "volumes"), tmp: filepath.Join(data, "tmp"), foreign: foreign}
}

// Volume is one volume.
type Volume struct {
	Name      string            `json:"name"`
	Created   time.Time         `json:"created"`
	Labels    map[string]string `json:"labels,omitempty"`
	Anonymous bool              `json:"anonymous,omitempty"` // its name is a random one
	Path      string            `json:"-"`                   // what a run sees
}

const (
	metaName, dataName, usersName = "volume.json", "data", "runs"
	seedName, lockName            = "seed", "lock"
)

func (s *Store) volumeDir(name string) string { return filepath.Join(s.dir, name) }

// Path is where the files of a volume are, or will be.
func (s *Store) Path(name string) string { return filepath.Join(s.volumeDir(name), dataName) }

// Create makes a volume, empty. One that is there already stays as it is: made is false then.
func (s *Store) Create(v Volume) (_ Volume, made bool, err error) {
	if err := spec.CheckVolumeName(v.Name); err != nil {
		return Volume{}, false, fmt.Errorf("%w: %w", spec.ErrOption, err)
	}
	found, err := s.Get(v.Name)
	if err == nil || !errors.Is(err, ErrNotFound) {
		return found, false, err
	}
	if v.Created.IsZero() {
		v.Created = time.Now().UTC().Truncate(time.Millisecond)
	}
	if made, err = s.make(v); err != nil {
		return Volume{}, false, fmt.Errorf("making volume %s: %w", v.Name, err)
	}
	found, err = s.Get(v.Name)
	return found, made, err
}

// make publishes a volume, unless another process was first.
func (s *Store) make(v Volume) (made bool, err error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return false, err
	}
	for _, dir := range []string{s.dir, s.tmp} {
		if err := fsx.MkdirAll(dir, 0o700); err != nil {
			return false, err
		}
	}
	temp, err := fsx.TempDir(s.tmp)
	if err != nil {
		return false, err
	}
	var cleanup undo.Stack
	defer func() { err = errors.Join(err, cleanup.Run()) }()
	cleanup.Add(func() error { return fsx.RemoveAll(temp) })
	if err := fsx.WriteFile(filepath.Join(temp, metaName), raw, 0o600); err != nil {
		return false, err
	}
	for name, mode := range map[string]fs.FileMode{dataName: 0o755, usersName: 0o700} {
		if err := fsx.MkdirMode(filepath.Join(temp, name), mode); err != nil {
			return false, err
		}
	}
	err = fsx.Rename(temp, s.volumeDir(v.Name))
	if fsx.IsNotEmpty(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	cleanup.Release()
	return true, nil
}

// Get finds a volume. The error is ErrNotFound.
func (s *Store) Get(name string) (Volume, error) {
	if spec.CheckVolumeName(name) != nil {
		return Volume{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	st, err := os.Lstat(s.Path(name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return Volume{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return Volume{}, fmt.Errorf("volume %s: %w", name, err)
	}
	v := Volume{Created: st.ModTime().UTC()}
	// What a power cut has left of the description is no reason to keep the data from its owner.
	if raw, err := fsx.ReadRegular(filepath.Join(s.volumeDir(name), metaName), mostOfFile); err == nil {
		_ = json.Unmarshal(raw, &v)
	}
	v.Name, v.Path = name, s.Path(name)
	return v, nil
}

// List returns all volumes by their names.
func (s *Store) List() ([]Volume, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	var list []Volume
	for _, e := range entries {
		v, err := s.Get(e.Name())
		if errors.Is(err, ErrNotFound) {
			continue // no volume, or it has just gone
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b Volume) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
