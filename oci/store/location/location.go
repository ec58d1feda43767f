// Package location decides in which directories a store is, makes them, and finds out by trying whether their file systems can hold
// what a store keeps.
package location

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// Dirs are the two roots of a store, both absolute.
type Dirs struct {
	Data   string // images and run records; may be on a network file system
	Layers string // layers and uppers; its file system can hold overlay layers
	Note   string // one sentence for the user when Layers was chosen just now and is not Data, else ""
}

// Find decides where the store is. env looks up the environment; layers is the value of --layers, or ""; roots are the directories for
// layers that the configuration names, if it names some.
//
// Data is $CORACLE_ROOT, else $XDG_DATA_HOME/coracle, else ~/.local/share/coracle, where ~ is $HOME, else as passwd(5) has it.
// Layers is --layers, else $CORACLE_LAYERS, else one of roots that has held layers, else the first of them that can, else Data; when
// the file system of Data cannot hold layers (found out by trying) and the user has not said $CORACLE_ROOT, it is one of these that
// can: a directory that the scheduler gives the job, /var/tmp/coracle-UID,
// $TMPDIR/coracle-UID; the first with room for a large image, else the one with the most room. What was found is remembered
// in Data for each host, so that every run on a host uses the same place; but a place that the environment names goes with
// its job, and is found again there by what is in it. The error is ErrNoLayerRoot when no place will do.
func Find(env func(string) string, layers string, roots ...string) (Dirs, error) {
	data, rooted, err := dataRoot(env)
	if err != nil {
		return Dirs{}, err
	}
	if layers == "" {
		layers = env("CORACLE_LAYERS")
	}
	if layers != "" {
		abs, err := filepath.Abs(layers)
		if err != nil {
			return Dirs{}, fmt.Errorf("locating the layers: %w", err)
		}
		return Dirs{Data: data, Layers: abs}, accept(abs)
	}
	if len(roots) > 0 {
		return configured(data, roots)
	}
	if err := Own(data); err != nil {
		return Dirs{}, fmt.Errorf("locating the store: %w", err)
	}
	list := candidates(env)
	if remembered, ok := recall(data, list); ok && (!rooted || remembered == data) {
		return Dirs{Data: data, Layers: remembered}, nil
	}
	return choose(data, rooted, list)
}

// DataRoot is where images and run records are, whether or not it is there.
func DataRoot(env func(string) string) (string, error) {
	root, _, err := dataRoot(env)
	return root, err
}

// ownHome is the home directory that the system has for the caller. Tests replace it.
var ownHome = host.Home

func dataRoot(env func(string) string) (root string, explicit bool, err error) {
	if root := env("CORACLE_ROOT"); root != "" {
		root, err = filepath.Abs(root)
		return root, true, err
	}
	if base := env("XDG_DATA_HOME"); filepath.IsAbs(base) { // the specification: a relative one is to be ignored
		return filepath.Join(base, "coracle"), false, nil
	}
	home := env("HOME")
	if home == "" { // as for a job of cron's or of a service
		home = ownHome()
	}
	if !filepath.IsAbs(home) {
		return "", false, fmt.Errorf("locating the store: %w: neither CORACLE_ROOT, XDG_DATA_HOME nor HOME names a directory", ErrNoHome)
	}
	return filepath.Join(home, ".local", "share", "coracle"), false, nil
}

// candidate is a directory for layers that are not kept with the data.
type candidate struct {
	dir     string
	lasting bool // it does not go with a job, and may be remembered
}

// jobDirs are the variables by which schedulers name a local directory that lives as long as the job: sites' Slurm, LSF,
// HTCondor.
var jobDirs = []string{"SLURM_TMPDIR", "LSF_TMPDIR", "_CONDOR_SCRATCH_DIR"}

// sharedTemp is where there is room that outlives a restart, on any Linux. Tests replace it.
var sharedTemp = "/var/tmp"

func candidates(env func(string) string) (list []candidate) {
	name := "coracle-" + strconv.Itoa(os.Geteuid())
	for _, variable := range jobDirs {
		if dir := env(variable); filepath.IsAbs(dir) {
			list = append(list, candidate{dir: filepath.Join(dir, name)})
		}
	}
	list = append(list, candidate{dir: filepath.Join(sharedTemp, name), lasting: true})
	if dir := env("TMPDIR"); filepath.IsAbs(dir) {
		list = append(list, candidate{dir: filepath.Join(dir, name)})
	}
	return slices.CompactFunc(list, func(a, b candidate) bool { return a.dir == b.dir })
}

// choose finds the place. A full disk says nothing about what its file system can hold: where Data is on one, that ends the
// search, for what is removed from it next makes room, and the layers shall not move for that.
func choose(data string, rooted bool, list []candidate) (Dirs, error) {
	if !rooted {
		for _, c := range list {
			if !c.lasting && holdsLayers(c.dir) && acceptShared(c.dir) == nil {
				return Dirs{Data: data, Layers: c.dir}, nil // as an earlier process of the job has found
			}
		}
	}
	problem := tryDir(data)
	switch {
	case problem == nil, fsx.IsFull(problem) && holdsLayers(data):
		return Dirs{Data: data, Layers: data}, remember(data, data)
	case fsx.IsFull(problem):
		return Dirs{}, fmt.Errorf("locating the layers: %w", problem)
	}
	if rooted {
		return Dirs{}, &NoLayerRootError{Tried: []error{problem}}
	}
	best, err := roomiest(list)
	if err != nil {
		err.Tried = append([]error{problem}, err.Tried...)
		return Dirs{}, err
	}
	dirs := Dirs{Data: data, Layers: best.dir, Note: fmt.Sprintf("layers are kept in %s, because %v", best.dir, problem)}
	if !best.lasting {
		return dirs, nil
	}
	return dirs, remember(data, best.dir)
}

// enoughRoom is what a large image takes, unpacked.
const enoughRoom = 20 << 30

// roomiest is the first candidate that can hold layers and has room enough, else the one of those that has the most.
func roomiest(list []candidate) (best candidate, _ *NoLayerRootError) {
	failure := &NoLayerRootError{}
	var most int64 = -1
	for _, c := range list {
		err := acceptShared(c.dir)
		var place host.Filesystem
		if err == nil {
			place, err = statFilesystem(c.dir)
		}
		if err != nil {
			failure.Tried = append(failure.Tried, err)
			continue
		}
		if place.Free >= enoughRoom {
			return c, nil
		}
		if place.Free > most {
			best, most = c, place.Free
		}
	}
	if most < 0 {
		return candidate{}, failure
	}
	return best, nil
}

// statFilesystem is replaced by tests.
var statFilesystem = host.StatFilesystem

// accept makes a directory the user named, and tries it before the first use. Later it costs a look, and needs no space:
// rmi must work on a full disk.
func accept(dir string) error {
	if err := Own(dir); err != nil {
		return fmt.Errorf("locating the layers: %w", err)
	}
	if holdsLayers(dir) {
		return nil
	}
	switch err := tryDir(dir); {
	case fsx.IsFull(err):
		return fmt.Errorf("locating the layers: %w", err)
	case err != nil:
		return &NoLayerRootError{Tried: []error{err}}
	}
	return nil
}

// LayersDir is where the trees of layers are below a layer root.
func LayersDir(root string) string { return filepath.Join(root, "layers", "sha256") }

// holdsLayers reports whether a directory has been a layer root: Open makes the directory of the layers in one that was accepted.
func holdsLayers(dir string) bool {
	st, err := os.Lstat(LayersDir(dir))
	return err == nil && st.IsDir()
}

// acceptShared makes and tries a directory in a place where everybody can write: it must be new, or the caller's alone, and
// no link.
func acceptShared(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s (%v): %w", dir, st.Mode(), ErrNotOwned)
	}
	if err := checkOwner(dir, st); err != nil {
		return err
	}
	if holdsLayers(dir) {
		return nil
	}
	return tryDir(dir)
}

// Temps are the directories in which Find leaves temporary names, when it is killed: where it finds out what their file systems can hold,
// and writes down which it has chosen.
func (d Dirs) Temps() []string {
	dirs := []string{d.Layers, d.Memory()}
	if d.Data != d.Layers {
		dirs = append(dirs, d.Data)
	}
	return dirs
}

// Memory is the directory in which Find remembers what it has chosen. It may not be there.
func (d Dirs) Memory() string { return filepath.Join(d.Data, memories) }

const memories = "layer-roots"

// memory is the file that remembers the layer root of this host.
func memory(data string) (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return filepath.Join(data, memories, strings.ReplaceAll(name, "/", "_")), nil
}

// mostOfPath is how long a remembered path is: that of the kernel's PATH_MAX, and its line's end.
const mostOfPath = 4097

// recall is the remembered layer root, if it is one that can have been chosen and is still the caller's. What else is there is of a job that
// has the store among its volumes, and would have the layers of other runs where it likes.
func recall(data string, list []candidate) (string, bool) {
	file, err := memory(data)
	if err != nil {
		return "", false
	}
	raw, err := fsx.ReadRegular(file, mostOfPath)
	if err != nil {
		return "", false
	}
	dir := strings.TrimSuffix(string(raw), "\n")
	if dir == data {
		return dir, true
	}
	if !slices.ContainsFunc(list, func(c candidate) bool { return c.dir == dir }) {
		return "", false
	}
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || st.Mode().Perm()&0o077 != 0 || checkOwner(dir, st) != nil {
		return "", false
	}
	return dir, true
}

// remember notes the layer root. What a full disk cannot remember is found again.
func remember(data, layers string) error {
	file, err := memory(data)
	if err != nil {
		return err
	}
	if err := Make(filepath.Dir(file)); err != nil && !fsx.IsFull(err) {
		return fmt.Errorf("remembering the layer root: %w", err)
	}
	if err := fsx.WriteFile(file, []byte(layers+"\n"), 0o600); err != nil && !fsx.IsFull(err) {
		return fmt.Errorf("remembering the layer root: %w", err)
	}
	return nil
}
