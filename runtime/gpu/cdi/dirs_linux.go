package cdi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	cdi "tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/spec"
)

// systemDirs are where vendors install specifications; what is in a later one counts before what is in an earlier one.
var systemDirs = []string{"/etc/cdi", "/var/run/cdi"}

// Dirs are the directories of a user, the last of which is the user's own.
func Dirs(config string) []string {
	if !filepath.IsAbs(config) {
		return systemDirs
	}
	return append(slices.Clone(systemDirs), filepath.Join(config, "cdi"))
}

// mostBytes bounds a specification's file.
const mostBytes = 4 << 20

// Found is a device in an installed specification.
type Found struct {
	Name    Name
	File    string
	Digest  digest.Digest // of the file
	Devices spec.Devices
}

// installed is a specification in a file.
type installed struct {
	cdi.Spec
	file   string
	digest digest.Digest
	rank   int   // of its directory; the greater one counts
	err    error // why hooks are not taken from it; nil: root alone can have written it
}

// Find looks for devices in the specifications that are installed in directories. Errors wrap ErrNotFound, ErrSpec or ErrOwner.
func Find(dirs []string, names []Name) ([]Found, error) {
	if len(names) == 0 {
		return nil, nil
	}
	specs, problems := load(dirs)
	found := make([]Found, 0, len(names))
	for _, name := range names {
		f, err := find(specs, name)
		if errors.Is(err, ErrNotFound) && len(problems) > 0 {
			err = fmt.Errorf("%w; what could not be read: %w", err, several(problems))
		}
		if err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// several are errors in one line.
type several []error

func (s several) Error() string {
	words := make([]string, len(s))
	for i, err := range s {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (s several) Unwrap() []error { return s }

// load reads what specifications there are. One that cannot be read matters only if a device is not found in another.
func load(dirs []string) (list []installed, problems []error) {
	for rank, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		for _, entry := range entries {
			if ext := filepath.Ext(entry.Name()); ext != ".json" && ext != ".yaml" {
				continue
			}
			s, err := read(filepath.Join(dir, entry.Name()))
			if err != nil {
				problems = append(problems, err)
				continue
			}
			s.rank = rank
			list = append(list, s)
		}
	}
	return list, problems
}

func read(file string) (s installed, err error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a pipe
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	if !info.Mode().IsRegular() || info.Size() > mostBytes {
		return s, fmt.Errorf("%w: %s: not a file of at most %d bytes", ErrSpec, file, mostBytes)
	}
	trust, err := owner(file, info)
	if err != nil {
		return s, err
	}
	text, err := io.ReadAll(io.LimitReader(f, mostBytes))
	if err != nil {
		return s, err
	}
	s = installed{file: file, digest: digest.FromBytes(text), err: trust}
	decode := json.Unmarshal // its depth is bounded
	if filepath.Ext(file) == ".yaml" {
		decode = decodeYAML
	}
	if err = decode(text, &s.Spec); err == nil {
		err = check(s.Spec)
	}
	if err != nil {
		return s, fmt.Errorf("%w: %s: %s", ErrSpec, file, strings.Join(strings.Fields(err.Error()), " "))
	}
	return s, nil
}

// owner finds out who may have written a file. A stranger's is an error; trust is nil when it can only have been root.
func owner(file string, info fs.FileInfo) (trust, err error) {
	dir, err := os.Stat(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	for _, st := range []struct {
		path string
		info fs.FileInfo
	}{{file, info}, {filepath.Dir(file), dir}} {
		sys, ok := st.info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil, fmt.Errorf("%w: %s: its owner cannot be told", ErrOwner, st.path)
		}
		uid := int(sys.Uid)
		switch {
		case uid != 0 && uid != os.Getuid():
			return nil, fmt.Errorf("%w: %s belongs to user %d", ErrOwner, st.path, uid)
		case st.info.Mode().Perm()&0o002 != 0:
			return nil, fmt.Errorf("%w: everybody may write to %s", ErrOwner, st.path)
		case trust != nil:
		case uid != 0:
			trust = fmt.Errorf("%w: it names hooks, which are taken from root alone, and %s belongs to user %d", ErrOwner, st.path, uid)
		case st.info.Mode().Perm()&0o020 != 0:
			trust = fmt.Errorf("%w: it names hooks, which are taken from root alone, and a group may write to %s", ErrOwner, st.path)
		}
	}
	return trust, nil
}

// find is the device of a name in the directory that counts most.
func find(list []installed, name Name) (Found, error) {
	var s *installed
	var device cdi.Device
	for i := range list {
		if list[i].Kind != name.Kind {
			continue
		}
		at := slices.IndexFunc(list[i].Devices, func(d cdi.Device) bool { return d.Name == name.Device })
		switch {
		case at < 0 || s != nil && s.rank > list[i].rank:
			continue
		case s != nil && s.rank == list[i].rank:
			return Found{}, fmt.Errorf("%w: %s: both %s and %s have it", ErrSpec, name, s.file, list[i].file)
		}
		s, device = &list[i], list[i].Devices[at]
	}
	if s == nil {
		return Found{}, fmt.Errorf("%w: %s: %s", ErrNotFound, name, known(list, name.Kind))
	}
	devices, err := convert([]cdi.ContainerEdits{s.ContainerEdits, device.ContainerEdits})
	if err == nil && devices.Hooks != nil {
		err = s.err
	}
	if err != nil {
		return Found{}, fmt.Errorf("%s: %s: %w", name, s.file, err)
	}
	return Found{Name: name, File: s.file, Digest: s.digest, Devices: devices}, nil
}

// known says what there is instead.
func known(list []installed, kind string) string {
	var devices, kinds []string
	for _, s := range list {
		if !slices.Contains(kinds, s.Kind) {
			kinds = append(kinds, s.Kind)
		}
		for _, d := range s.Devices {
			if s.Kind == kind && !slices.Contains(devices, d.Name) {
				devices = append(devices, d.Name)
			}
		}
	}
	switch {
	case len(devices) > 0:
		return "there are " + kind + "=" + strings.Join(devices, ", ")
	case len(kinds) > 0:
		return "no specification is installed for " + kind + "; there are those for " + strings.Join(kinds, ", ")
	default:
		return "no CDI specification is installed"
	}
}
