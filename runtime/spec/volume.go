package spec

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// Kinds of volume.
const (
	Bind  = "bind"
	Tmpfs = "tmpfs"
)

// Volume is one mount of the user's.
type Volume struct {
	Type        string // Bind or Tmpfs
	Source      string // bind: absolute path on the host
	Target      string // absolute path in the container
	ReadOnly    bool
	Propagation string // bind: private, rprivate, slave, rslave; "": rprivate
	SizeBytes   int64  // tmpfs; 0: half of the memory, as the kernel has it
	Mode        uint32 // tmpfs: permission bits; 0: 1777
}

// propagations are those that an ordinary user's mount namespace can honour: what is mounted inside never shows outside.
var propagations = []string{"private", "rprivate", "slave", "rslave"}

// ParseVolume reads docker's -v: HOST:CONTAINER[:OPTIONS], OPTIONS a comma-separated list of ro, rw and a propagation. A
// relative HOST is below cwd, an absolute path.
func ParseVolume(text, cwd string) (Volume, error) {
	v, err := parseVolume(text, cwd)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: volume %q: %w", ErrOption, text, err)
	}
	return v, nil
}

func parseVolume(text, cwd string) (Volume, error) {
	v := Volume{Type: Bind}
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return v, errors.New("it must be HOST:CONTAINER or HOST:CONTAINER:ro (for a path with a colon use --mount type=bind,source=...,target=...)")
	}
	source, target := parts[0], parts[1]
	switch {
	case source == "":
		return v, errors.New("the host's path is missing")
	case !path.IsAbs(target):
		return v, errors.New("the container's path must be absolute")
	case !strings.ContainsRune(source, '/') && source != "." && source != "..":
		return v, errors.New("named volumes are not there yet: for a directory of this name write ./" + source)
	}
	v.Source, v.Target = absolute(source, cwd), path.Clean(target)
	if len(parts) == 3 {
		for option := range strings.SplitSeq(parts[2], ",") {
			if err := v.set(option, ""); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// ParseMount reads docker's --mount: comma-separated KEY=VALUE with CSV's quoting; type is bind or tmpfs.
func ParseMount(text, cwd string) (Volume, error) {
	v, err := parseMount(text, cwd)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: mount %q: %w", ErrOption, text, err)
	}
	return v, nil
}

func parseMount(text, cwd string) (v Volume, err error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return v, err
	}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		if err := v.set(strings.ToLower(strings.TrimSpace(key)), value); err != nil {
			return v, err
		}
	}
	switch {
	case v.Type != Bind && v.Type != Tmpfs:
		return v, errors.New("type must be bind or tmpfs")
	case v.Target == "":
		return v, errors.New("target is missing")
	case v.Type == Bind && v.Source == "":
		return v, errors.New("source is missing")
	case v.Type == Tmpfs && v.Source != "":
		return v, errors.New("a tmpfs has no source")
	case v.Type == Bind && (v.SizeBytes != 0 || v.Mode != 0):
		return v, errors.New("tmpfs-size and tmpfs-mode are for type=tmpfs")
	case v.Type == Tmpfs && v.Propagation != "":
		return v, errors.New("bind-propagation is for type=bind")
	}
	if v.Type == Bind {
		v.Source = absolute(v.Source, cwd)
	}
	return v, nil
}

// set takes one option of -v (no value) or one pair of --mount.
func (v *Volume) set(key, value string) (err error) {
	switch {
	case key == "type":
		v.Type = value
	case key == "source" || key == "src":
		v.Source = value
	case key == "target" || key == "dst" || key == "destination":
		if !path.IsAbs(value) {
			return fmt.Errorf("target %q must be an absolute path", value)
		}
		v.Target = path.Clean(value)
	case key == "ro" || key == "readonly":
		v.ReadOnly, err = boolean(value)
	case key == "rw":
		v.ReadOnly = false
	case key == "bind-propagation":
		return v.set(value, "")
	case slices.Contains(propagations, key):
		v.Propagation = key
	case strings.HasSuffix(key, "shared"):
		return fmt.Errorf("propagation %s needs privileges on the host: use one of %s", key, strings.Join(propagations, ", "))
	case key == "tmpfs-size":
		if v.SizeBytes, err = units.RAMInBytes(value); err == nil && v.SizeBytes <= 0 {
			err = errors.New("that is no size")
		}
	case key == "tmpfs-mode":
		var mode uint64
		mode, err = strconv.ParseUint(value, 8, 12)
		v.Mode = uint32(mode)
	default:
		return fmt.Errorf("option %q is not known", key)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", key, value, err)
	}
	return nil
}

func boolean(value string) (bool, error) {
	if value == "" {
		return true, nil
	}
	return strconv.ParseBool(value)
}

func absolute(p, cwd string) string {
	if !filepath.IsAbs(p) {
		p = filepath.Join(cwd, p)
	}
	return filepath.Clean(p)
}
