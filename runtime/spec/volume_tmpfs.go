package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ParseTmpfs reads docker's --tmpfs: CONTAINER[:OPTIONS], OPTIONS a comma-separated list. Other than with docker programs in it may
// be executed unless noexec is among them: compilers of kernels for GPUs put theirs into /tmp.
func ParseTmpfs(text string) (Volume, error) {
	target, options, _ := strings.Cut(text, ":")
	v := Volume{Type: Tmpfs, Target: path.Clean(target)}
	if !path.IsAbs(target) {
		return Volume{}, fmt.Errorf("%w: tmpfs %q: it must be CONTAINER or CONTAINER:OPTIONS, CONTAINER an absolute path", ErrOption, text)
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "" {
			continue
		}
		if err := v.setTmpfs(option); err != nil {
			return Volume{}, fmt.Errorf("%w: tmpfs %q: %w", ErrOption, text, err)
		}
	}
	return v, nil
}

// tmpfsOptions are those of --tmpfs.
var tmpfsOptions = []string{
	"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "ro", "rw", "exec", "noexec", "nosuid", "nodev",
	"noatime", "nodiratime", "relatime", "strictatime",
}

func (v *Volume) setTmpfs(option string) error {
	key, value, assigned := strings.Cut(option, "=")
	var err error
	switch key {
	case "size":
		if share, ok := strings.CutSuffix(value, "%"); ok && isNumber(share, 100) && share != "0" {
			v.SizeBytes, v.Options = 0, append(v.Options, option) // of the host's memory: tmpfs(5)
			return nil
		}
		err = setSize(v, value)
	case "mode":
		err = setMode(v, value)
	case "uid", "gid":
		return v.pass(option, isNumber(value, 1<<32-2))
	case "nr_inodes", "nr_blocks":
		return v.pass(option, isNumber(strings.TrimRight(value, "kmgKMG"), 1<<40))
	case "ro", "rw":
		v.ReadOnly = key == "ro"
	case "noexec", "noatime", "nodiratime", "relatime", "strictatime":
		return v.pass(option, !assigned)
	case "exec", "nosuid", "nodev":
		return v.pass("", !assigned)
	case "suid", "dev":
		return errors.New("a tmpfs is nosuid and nodev")
	default:
		return &KeyError{key, tmpfsOptions}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", option, err)
	}
	return nil
}

// pass hands an option on to the kernel, when it is well-formed; "" is none.
func (v *Volume) pass(option string, ok bool) error {
	if !ok {
		return fmt.Errorf("%s: that is no value for it", option)
	}
	if option != "" {
		v.Options = append(v.Options, option)
	}
	return nil
}

func isNumber(text string, most uint64) bool {
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && n <= most
}

// WithoutOwners leaves out the owners of a tmpfs, for a job that is the only user inside: it owns everything.
func (v Volume) WithoutOwners() Volume {
	v.Options = slices.DeleteFunc(slices.Clone(v.Options), func(option string) bool {
		return strings.HasPrefix(option, "uid=") || strings.HasPrefix(option, "gid=")
	})
	return v
}
