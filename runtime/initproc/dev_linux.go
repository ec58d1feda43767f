package initproc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// The keeper makes a container's /dev before it knows what is to run, while the supervisor still looks for the image, and
// libcontainer mounts it as a whole. Left to libcontainer, its dozen mounts are a tenth of a start: each of them is looked up
// safely in a tree that nobody trusts, where here the tree is the keeper's own.

// devices are those of every container (OCI runtime specification, "Default Devices"). In a user namespace nobody can make
// device files: the host's are mounted.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}

// devLinks are the links of the same section.
var devLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
}

// makeDev makes a container's /dev in a directory, but for /dev/shm.
func makeDev(dir string) error {
	for _, m := range spec.Dev() {
		if err := mountIn(dir, m); err != nil {
			return err
		}
	}
	for _, device := range devices {
		if err := addDevice(dir, device); err != nil {
			return err
		}
	}
	for name, target := range devLinks {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("making /dev: %w", err)
		}
	}
	return nil
}

// mountIn mounts what belongs below /dev in the directory that stands for it.
func mountIn(dir string, m specs.Mount) error {
	target := filepath.Join(dir, strings.TrimPrefix(m.Destination, "/dev"))
	if err := os.Mkdir(target, 0o755); err != nil {
		return fmt.Errorf("making /dev: %w", err)
	}
	flags, data := mountOptions(m.Options)
	return sys.Mount(m.Source, target, m.Type, flags, data)
}

// mountFlags are the options of spec.Dev that are flags of mount(2); others are for the file system.
var mountFlags = map[string]uintptr{
	"nosuid": unix.MS_NOSUID, "noexec": unix.MS_NOEXEC, "nodev": unix.MS_NODEV, "strictatime": unix.MS_STRICTATIME,
}

func mountOptions(options []string) (flags uintptr, data string) {
	var rest []string
	for _, option := range options {
		if flag, ok := mountFlags[option]; ok {
			flags |= flag
		} else {
			rest = append(rest, option)
		}
	}
	return flags, strings.Join(rest, ",")
}

// addDevice mounts a device of the host at its place.
func addDevice(dir, device string) error {
	target := filepath.Join(dir, strings.TrimPrefix(device, "/dev"))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return fmt.Errorf("making /dev: %w", err)
	}
	fd, err := sys.CreateAt(unix.AT_FDCWD, target, 0)
	if err != nil {
		return fmt.Errorf("making /dev: %w", err)
	}
	if err := sys.Close(fd); err != nil {
		return err
	}
	return sys.Mount(device, target, "", unix.MS_BIND, "")
}

// addMetrics mounts the run's directory for what the job has to say.
func addMetrics(dir, source string) error {
	if source == "" {
		return nil
	}
	target := filepath.Join(dir, strings.TrimPrefix(container.MetricsDir, "/dev"))
	if err := os.Mkdir(target, 0o755); err != nil {
		return fmt.Errorf("making /dev: %w", err)
	}
	if err := sys.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return sys.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// completeDev adds to /dev what the request brings: shared memory of its size, and devices.
func completeDev(dir string, s *specs.Spec) error {
	shm := spec.SplitDev(s, dir)
	if err := mountIn(dir, shm); err != nil {
		return err
	}
	for _, device := range s.Linux.Devices {
		if slices.Contains(devices, device.Path) {
			continue
		}
		if !strings.HasPrefix(filepath.Clean(device.Path), "/dev/") {
			return fmt.Errorf("device %s: it is not below /dev", device.Path)
		}
		if err := addDevice(dir, filepath.Clean(device.Path)); err != nil {
			return err
		}
	}
	return nil
}
