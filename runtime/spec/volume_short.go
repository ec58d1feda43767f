package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/naming"
)

// KeyError is an option that is none, with those that there are.
type KeyError struct {
	Key   string
	Known []string
}

// Error implements error.
func (e *KeyError) Error() string { return fmt.Sprintf("option %q is not known", e.Key) }

// ParseVolume reads docker's -v: HOST:CONTAINER[:OPTIONS], NAME:CONTAINER[:OPTIONS] or CONTAINER. A relative HOST is below cwd, an
// absolute path.
func ParseVolume(text, cwd string) (Volume, error) {
	v, err := parseVolume(text, cwd)
	if err != nil {
		return Volume{}, fmt.Errorf("%w: volume %q: %w", ErrOption, text, err)
	}
	return v, nil
}

const forColons = "(for a path with a colon use --mount type=bind,source=...,target=...)"

func parseVolume(text, cwd string) (Volume, error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 {
		return Volume{}, errors.New("it must be HOST:CONTAINER, NAME:CONTAINER or CONTAINER, with :ro or other options " + forColons)
	}
	if len(parts) == 1 {
		parts = []string{"", text}
	} else if parts[0] == "" {
		return Volume{}, errors.New("the host's path is missing")
	}
	source, target := parts[0], parts[1]
	if !path.IsAbs(target) {
		return Volume{}, fmt.Errorf("the container's path must be absolute, which %q is not %s", target, forColons)
	}
	v := Volume{Type: Named, Source: source, Target: path.Clean(target)}
	if isPath(source) {
		v.Type, v.Source = Bind, absolute(source, cwd)
	} else if source != "" {
		if err := CheckVolumeName(source); err != nil {
			return Volume{}, err
		}
	}
	if len(parts) == 3 {
		for option := range strings.SplitSeq(parts[2], ",") {
			if err := v.setShort(option); err != nil {
				return Volume{}, err
			}
		}
	}
	return v, nil
}

// isPath tells a path from a name, as docker does: by a slash, or a leading dot.
func isPath(source string) bool {
	return strings.ContainsRune(source, '/') || strings.HasPrefix(source, ".")
}

// shortOptions are those of -v. Those of SELinux and of docker's desktop versions say nothing here: what a job mounts is not
// labelled, and there is no file sharing that could lag behind.
var shortOptions = slices.Concat([]string{"ro", "rw", "nocopy"}, propagations, idleOptions)

var idleOptions = []string{"z", "Z", "consistent", "cached", "delegated"}

func (v *Volume) setShort(option string) error {
	switch {
	case option == "ro" || option == "rw":
		v.ReadOnly = option == "ro"
	case slices.Contains(idleOptions, option):
	case option == "nocopy" && v.Type == Named:
		v.NoCopy = true
	case option == "nocopy":
		return errors.New("nocopy is for volumes with a name: nothing is copied to a directory of the host")
	default:
		return v.propagate(option)
	}
	return nil
}

// propagate sets the propagation, of a bind: nothing is ever mounted below a volume of another kind.
func (v *Volume) propagate(option string) error {
	switch {
	case option == "shared" || option == "rshared":
		return fmt.Errorf("propagation %s needs privileges on the host: use one of %s", option, strings.Join(propagations, ", "))
	case !slices.Contains(propagations, option):
		return &KeyError{option, shortOptions}
	case v.Type != Bind:
		return fmt.Errorf("propagation %s is for a directory of the host", option)
	}
	v.Propagation = option
	return nil
}

// maxVolumeName is what a directory's name may have.
const maxVolumeName = 255

// CheckVolumeName refuses what is no name of a volume as docker has them, [a-zA-Z0-9][a-zA-Z0-9_.-]+.
func CheckVolumeName(name string) error {
	if len(name) < 2 || len(name) > maxVolumeName || !naming.IsPlain(name) || !naming.IsName(name[:1]) {
		return fmt.Errorf("%q is no name of a volume: two or more letters, digits and _.-, beginning with a letter or digit (for a directory write ./%s)", name, name)
	}
	return nil
}
