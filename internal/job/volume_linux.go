package job

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// checkVolumes finds out before anything is fetched or started whether what is to be mounted is there.
func checkVolumes(volumes []spec.Volume) error {
	for _, v := range volumes {
		if v.Type == spec.Named || v.Type == spec.Image {
			return fmt.Errorf("%w: %s: volumes of type %s are not there yet", spec.ErrOption, v.Target, v.Type)
		}
		if v.Type != spec.Bind {
			continue
		}
		if err := checkSource(v); err != nil {
			return fmt.Errorf("%w: %w", ErrVolume, err)
		}
	}
	return nil
}

// checkSource looks at what is to be mounted; links are followed, as the kernel will.
func checkSource(v spec.Volume) error {
	st, err := os.Stat(v.Source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missingSource(v.Source)
	case err != nil:
		return err
	case st.Mode()&fs.ModeDevice != 0:
		return fmt.Errorf("%s is a device, and nothing in a volume can be used as one", v.Source)
	case v.Recursive == spec.Disabled && st.IsDir():
		return checkAlone(v.Source)
	}
	return nil
}

func missingSource(path string) error {
	if to, err := os.Readlink(path); err == nil {
		return fmt.Errorf("%s is a link to %s, which does not exist on this host", path, to)
	}
	return fmt.Errorf("%s does not exist on this host", path)
}

// checkAlone refuses a directory that other file systems are mounted below, where those are not to come along: the kernel shows an
// ordinary user nothing of what they cover (mount_namespaces(7), "Restrictions on mount namespaces").
func checkAlone(dir string) error {
	below, err := host.MountsBelow(dir)
	if err != nil || len(below) == 0 {
		return err
	}
	return fmt.Errorf("%s cannot be mounted without %s: what is below other file systems is root's to show (leave out bind-recursive=disabled)", dir, below[0])
}

// tellMounter says what a job may do that is root over its own mounts: of those the kernel takes back what it likes.
func (a *attempt) tellMounter(user rootfs.User) {
	held := slices.Contains(a.spec.Process.Capabilities.Bounding, "CAP_SYS_ADMIN")
	readOnly := func(v spec.Volume) bool { return v.ReadOnly && v.Type != spec.Tmpfs && v.Type != spec.Image }
	if held && user.UID == 0 && slices.ContainsFunc(a.options.Spec.Volumes, readOnly) {
		a.Notice("as root, SYS_ADMIN lets the job make its read-only volumes writable; with -u USER it cannot")
	}
}

// withoutOwners leaves out the owners of tmpfs.
func withoutOwners(volumes []spec.Volume) []spec.Volume {
	volumes = slices.Clone(volumes)
	for i, v := range volumes {
		volumes[i] = v.WithoutOwners()
	}
	return volumes
}

// mountRecords are the record's form of what is mounted.
func mountRecords(volumes []spec.Volume) []record.Mount {
	var mounts []record.Mount
	for _, v := range volumes {
		m := record.Mount{Type: v.Type, Source: v.Source, Target: v.Target, Mode: "rw", FSType: "tmpfs", Options: volumeOptions(v)}
		if v.ReadOnly {
			m.Mode = "ro"
		}
		if v.Type == spec.Bind {
			m.FSType = host.FilesystemType(v.Source)
		}
		mounts = append(mounts, m)
	}
	return mounts
}

// volumeOptions are those of --mount that were given, but for its modes.
func volumeOptions(v spec.Volume) (options []string) {
	add := func(given bool, key, value string) {
		if given {
			options = append(options, key+"="+value)
		}
	}
	add(v.Propagation != "", "bind-propagation", v.Propagation)
	add(v.Recursive != "", "bind-recursive", string(v.Recursive))
	add(v.Subpath != "", v.Type+"-subpath", v.Subpath)
	add(v.NoCopy, "volume-nocopy", "true")
	add(v.SizeBytes != 0, "tmpfs-size", strconv.FormatInt(v.SizeBytes, 10))
	add(v.Mode != 0, "tmpfs-mode", fmt.Sprintf("%04o", v.Mode))
	return append(options, v.Options...)
}
