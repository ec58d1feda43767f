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
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// checkVolumes finds out before anything is fetched or started whether what is to be mounted is there.
func checkVolumes(volumes []spec.Volume) error {
	for _, v := range volumes {
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
		return host.Missing(v.Source)
	case err != nil:
		return err
	case st.Mode()&fs.ModeDevice != 0:
		return fmt.Errorf("%s is a device, and nothing in a volume can be used as one", v.Source)
	case container.InWorkshop(v.Source):
		return fmt.Errorf("%s belongs to the runtime", container.Workshop)
	case v.Recursive == spec.Disabled && st.IsDir():
		return checkAlone(v.Source)
	}
	return nil
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

// withoutOwners leaves out the owners of tmpfs.
func withoutOwners(volumes []spec.Volume) []spec.Volume {
	volumes = slices.Clone(volumes)
	for i, v := range volumes {
		volumes[i] = v.WithoutOwners()
	}
	return volumes
}

// mountRecords are the record's form of what is mounted; data are the images among it.
func (r *Runner) mountRecords(volumes []spec.Volume, data map[string]store.Image) []record.Mount {
	var mounts []record.Mount
	for _, v := range volumes {
		m := record.Mount{Type: v.Type, Source: v.Source, Target: v.Target, Mode: record.ReadWrite, Options: volumeOptions(v)}
		if v.ReadOnly {
			m.Mode = record.ReadOnly
		}
		switch {
		case v.Type == spec.Bind:
			m.FSType = host.FilesystemType(v.Source)
		case v.Type == spec.Tmpfs:
			m.FSType = "tmpfs"
		case v.Type == spec.Image:
			image := imageRecord(v.Source, data[v.Source])
			m.Source, m.Digest, m.FSType = image.Ref, image.Digest, "overlay"
		case v.Source != "":
			m.Name, m.Source, m.FSType = v.Source, r.named().Path(v.Source), host.FilesystemType(r.Store.Dirs().Data)
		default:
			m.FSType = host.FilesystemType(r.Store.Dirs().Layers)
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
