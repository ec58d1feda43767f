package routes

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
)

// Place is where files are looked for. The zero value is nowhere; Here is this process's.
type Place struct {
	Env  func(string) string
	UID  int
	Root string // in front of /etc and /usr, for tests
}

// Here is the place of this process.
func Here() Place { return Place{Env: os.Getenv, UID: os.Getuid()} }

const (
	name    = "registries"
	maxFile = 4 << 20 // bytes of a file
)

// Load reads the files of a place. Where there are none, the configuration is empty: every name means what it says.
func Load(p Place) (*Config, error) {
	files, err := p.files()
	if err != nil {
		return nil, fmt.Errorf("registries.conf: %w", err)
	}
	c := &Config{}
	for _, file := range files {
		raw, err := fsx.ReadFile(file, maxFile)
		if err != nil {
			return nil, &FileError{File: file, Err: err}
		}
		t, err := decode(string(raw))
		if err != nil {
			return nil, &FileError{File: file, Err: err}
		}
		c.add(file, t)
	}
	return c, nil
}

// files are the files to read, in order.
func (p Place) files() ([]string, error) {
	var files []string
	if one := p.Env("CONTAINERS_REGISTRIES_CONF"); one != "" {
		files = append(files, one)
	} else {
		dirs := p.dirs()
		for _, dir := range dirs {
			file := filepath.Join(dir, name+".conf")
			if _, err := os.Stat(file); err == nil {
				files = append(files, file)
				break
			} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
				return nil, err
			}
		}
		more, err := p.dropIns(dirs)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	if last := p.Env("CONTAINERS_REGISTRIES_CONF_OVERRIDE"); last != "" {
		files = append(files, last)
	}
	return files, nil
}

// dirs are the user's, the administrator's and the distribution's directories.
func (p Place) dirs() []string {
	var dirs []string
	if home := ConfigHome(p.Env); home != "" {
		dirs = append(dirs, filepath.Join(home, "containers"))
	}
	return append(dirs, filepath.Join(p.Root, "/etc/containers"), filepath.Join(p.Root, "/usr/share/containers"))
}

// ConfigHome is $XDG_CONFIG_HOME, else ~/.config, else "".
func ConfigHome(env func(string) string) string {
	if dir := env("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".config")
	}
	return ""
}

// dropIns are the files of all drop-in directories, by name; of one name the first directory's.
func (p Place) dropIns(dirs []string) ([]string, error) {
	found := map[string]string{}
	for _, dir := range dirs {
		subs := []string{name + ".conf.d"}
		if system := filepath.Join(p.Root, "/"); strings.HasPrefix(dir, filepath.Join(system, "etc")) || strings.HasPrefix(dir, filepath.Join(system, "usr")) {
			if p.UID == 0 {
				subs = []string{name + ".rootful.conf.d", name + ".conf.d"}
			} else {
				rootless := name + ".rootless.conf.d"
				subs = []string{filepath.Join(rootless, strconv.Itoa(p.UID)), rootless, name + ".conf.d"}
			}
		}
		for _, sub := range subs {
			entries, err := os.ReadDir(filepath.Join(dir, sub))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			for _, e := range entries {
				if _, taken := found[e.Name()]; !taken && !e.IsDir() && strings.HasSuffix(e.Name(), ".conf") {
					found[e.Name()] = filepath.Join(dir, sub, e.Name())
				}
			}
		}
	}
	var names, files []string
	for n := range found {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		files = append(files, found[n])
	}
	return files, nil
}

// FileError is a file that cannot be read or makes no sense.
type FileError struct {
	File string
	Err  error
}

// Error implements error.
func (e *FileError) Error() string {
	var path *fs.PathError
	if errors.As(e.Err, &path) && path.Path == e.File {
		return fmt.Sprintf("%s: %v", e.File, path.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

// Unwrap gives the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *FileError) Hint() string {
	return "mend the file (man containers-registries.conf), or name another with CONTAINERS_REGISTRIES_CONF"
}
