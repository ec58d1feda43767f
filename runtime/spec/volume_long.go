package spec

import (
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/quantity"
)

// ParseMount reads docker's --mount: comma-separated KEY=VALUE with CSV's quoting. Without a type it is a volume.
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
		return v, fmt.Errorf("it must be KEY=VALUE,KEY=VALUE, with quotes around one that has a comma: %w", err)
	}
	v.Type = Named
	given := map[string]string{} // by the key that it is an alias of
	for _, field := range fields {
		key, value, assigned := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if alias, ok := aliases[key]; ok {
			key = alias
		}
		set, ok := mountKeys[key]
		switch {
		case !ok:
			return v, &KeyError{key, append(slices.Sorted(maps.Keys(mountKeys)), slices.Sorted(maps.Keys(aliases))...)}
		case !assigned && !flagKeys[key]:
			return v, fmt.Errorf("%s needs a value: %s=VALUE", key, key)
		}
		if err := set(&v, value); err != nil {
			return v, fmt.Errorf("%s=%s: %w", key, value, err)
		}
		given[key] = value
	}
	if err := v.checkKeys(given); err != nil {
		return v, err
	}
	if v.Type == Bind {
		v.Source = absolute(v.Source, cwd)
	}
	return v, nil
}

// aliases are further names of keys: docker's, and podman's of the last.
var aliases = map[string]string{"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "subpath": "image-subpath"}

// flagKeys stand for true without a value.
var flagKeys = map[string]bool{"readonly": true, "rw": true, "bind-nonrecursive": true, "volume-nocopy": true}

var mountKeys = map[string]func(v *Volume, value string) error{
	"type":   func(v *Volume, value string) error { v.Type = strings.ToLower(value); return nil },
	"source": func(v *Volume, value string) error { v.Source = value; return nil },
	"target": func(v *Volume, value string) error {
		if !path.IsAbs(value) {
			return errors.New("the container's path must be absolute")
		}
		v.Target = path.Clean(value)
		return nil
	},
	"readonly": func(v *Volume, value string) (err error) { v.ReadOnly, err = boolean(value); return err },
	"rw": func(v *Volume, value string) error {
		rw, err := boolean(value)
		v.ReadOnly = !rw
		return err
	},
	"consistency": func(_ *Volume, value string) error {
		if slices.Contains(idleOptions, value) || value == "default" {
			return nil
		}
		return errors.New("it is consistent, cached, delegated or default, and says nothing on Linux")
	},
	"bind-propagation": func(v *Volume, value string) error {
		v.Propagation = value
		return nil
	},
	"bind-recursive":    setRecursive,
	"bind-nonrecursive": setNonRecursive,
	"tmpfs-size":        setSize,
	"tmpfs-mode":        setMode,
	"volume-nocopy":     func(v *Volume, value string) (err error) { v.NoCopy, err = boolean(value); return err },
	"volume-label":      func(v *Volume, value string) error { v.Labels = append(v.Labels, value); return nil },
	"volume-subpath":    setSubpath,
	"image-subpath":     setSubpath,
	"volume-driver": func(_ *Volume, value string) error {
		if value == "local" {
			return nil
		}
		return errors.New("the only driver is local")
	},
	"volume-opt": func(*Volume, string) error {
		return errors.New("volumes have no options: mount a directory of yours with type=bind")
	},
}

func setRecursive(v *Volume, value string) error {
	v.Recursive = Recursive(value)
	if !slices.Contains([]Recursive{Enabled, Disabled, Writable, Strict}, v.Recursive) {
		return errors.New("it is enabled, disabled, writable or readonly")
	}
	return nil
}

func setNonRecursive(v *Volume, value string) error {
	alone, err := boolean(value)
	if alone {
		v.Recursive = Disabled
	}
	return err
}

func setSize(v *Volume, value string) (err error) {
	if v.SizeBytes, err = quantity.Size(value); err == nil && v.SizeBytes == 0 {
		err = quantity.ErrSize
	}
	return err
}

func setMode(v *Volume, value string) error {
	mode, err := strconv.ParseUint(value, 8, 12)
	v.Mode = uint32(mode)
	return err
}

// setSubpath takes a path in a volume or an image. Whatever links it meets there, it stays inside.
func setSubpath(v *Volume, value string) error {
	v.Subpath = strings.TrimPrefix(path.Clean("/"+value), "/")
	if v.Subpath == "" || slices.Contains(strings.Split(value, "/"), "..") {
		return errors.New("it must be a path in it, without '..'")
	}
	return nil
}

// keysOf are the kinds that a key is for, where it is not for all.
var keysOf = map[string][]string{
	"bind-propagation": {Bind}, "bind-recursive": {Bind}, "bind-nonrecursive": {Bind},
	"tmpfs-size": {Tmpfs}, "tmpfs-mode": {Tmpfs},
	"volume-nocopy": {Named}, "volume-label": {Named}, "volume-driver": {Named}, "volume-opt": {Named}, "volume-subpath": {Named},
	"image-subpath": {Image, Named},
}

// checkKeys looks at what only makes sense together.
func (v *Volume) checkKeys(given map[string]string) error {
	if !slices.Contains([]string{Bind, Tmpfs, Named, Image}, v.Type) {
		return fmt.Errorf("type must be bind, tmpfs, volume or image, not %q", v.Type)
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if kinds, ok := keysOf[key]; ok && !slices.Contains(kinds, v.Type) {
			return fmt.Errorf("%s is for type=%s", key, kinds[0])
		}
	}
	switch {
	case v.Target == "":
		return errors.New("target is missing")
	case v.Type == Tmpfs && v.Source != "":
		return errors.New("a tmpfs has no source")
	case (v.Type == Bind || v.Type == Image) && v.Source == "":
		return errors.New("source is missing")
	case v.Type == Named && v.Source == "" && v.Subpath != "":
		return errors.New("a volume without a name is empty: it has no subpath")
	case v.Type == Named && isPath(v.Source):
		return fmt.Errorf("%q is no name of a volume: for a directory of the host say type=bind", v.Source)
	case v.Type == Image && hasFalse(given, "readonly") || v.Type == Image && hasTrue(given, "rw"):
		return errors.New("an image is read-only")
	case v.Recursive == Writable && !v.ReadOnly, v.Recursive == Strict && !v.ReadOnly:
		return fmt.Errorf("bind-recursive=%s needs readonly", v.Recursive)
	}
	v.ReadOnly = v.ReadOnly || v.Type == Image
	if p := v.Propagation; p != "" {
		if slices.Contains(idleOptions, p) || !strings.HasSuffix(p, "shared") && !slices.Contains(propagations, p) {
			return fmt.Errorf("bind-propagation=%s: it is one of %s", p, strings.Join(propagations, ", "))
		}
		if err := v.propagate(p); err != nil {
			return err
		}
	}
	if v.Recursive == Strict && v.Propagation != "" && v.Propagation != "rprivate" {
		return errors.New("bind-recursive=readonly needs bind-propagation=rprivate")
	}
	if v.Type == Named && v.Source != "" {
		return CheckVolumeName(v.Source)
	}
	return nil
}

func hasTrue(given map[string]string, key string) bool {
	value, ok := given[key]
	is, err := boolean(value)
	return ok && is && err == nil
}

func hasFalse(given map[string]string, key string) bool {
	value, ok := given[key]
	is, err := boolean(value)
	return ok && !is && err == nil
}

func boolean(value string) (bool, error) {
	if value == "" {
		return true, nil
	}
	return strconv.ParseBool(value)
}
