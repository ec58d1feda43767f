package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// planEnv, in the environment, makes a test binary the machine itself: see [Keep].
const planEnv = "CORACLE_FAKE_GPU"

// plan is what a machine is told at its start.
type plan struct {
	Setup
	Driver, Dir string
}

// Keep is the first call of TestMain where tests use machines. In a process that [Start] has started it sets the machine up, keeps it
// until its standard input ends, and says true: this process is not to do anything else. Otherwise it returns at once.
func Keep() (bool, error) {
	order := os.Getenv(planEnv)
	if order == "" {
		return false, nil
	}
	return true, keep(order)
}

func keep(order string) error {
	runtime.LockOSThread()
	var p plan
	if err := json.Unmarshal([]byte(order), &p); err != nil {
		return err
	}
	if err := p.mount(); err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("!"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func (p plan) path(elem ...string) string { return filepath.Join(append([]string{p.Dir}, elem...)...) }

func (p plan) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// The kernel lets a user namespace mount a proc of its own only where it could see a whole one before; with something mounted on
	// its driver/, this machine's is not whole any more.
	steps := []error{bind("/proc", p.path("proc")), p.devices()}
	if p.Place != None {
		steps = append(steps, bind(p.path("driver"), "/proc/driver"))
	}
	switch p.Place {
	case Usual:
		steps = append(steps, p.install())
	case Folder:
		steps = append(steps, over(filepath.Join(p.Driver, "usr-local"), "/usr/local"))
	case None:
	}
	return errors.Join(steps...)
}

// bind binds with all that is mounted below: a user namespace must not take off what its maker has put over something.
func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, to, err)
	}
	return nil
}

// over shows the files of a directory in another one. The mount is none that is read-only, as a host's own file system is not: what a
// job's mounts are made of has to become read-only by itself.
func over(files, dir string) error {
	if err := unix.Mount("overlay", dir, "overlay", 0, "userxattr,lowerdir="+files+":"+dir); err != nil {
		return fmt.Errorf("mounting %s over %s: %w", files, dir, err)
	}
	return nil
}

// install puts the driver where a distribution's packages do, and into the loader's cache.
func (p plan) install() error {
	libraries, err := SystemLibraries()
	if err != nil {
		return err
	}
	err = errors.Join(
		over(filepath.Join(p.Driver, "lib"), libraries),
		over(filepath.Join(p.Driver, "bin"), "/usr/bin"),
		over(filepath.Join(p.Driver, "share"), "/usr/share"),
	)
	if err != nil {
		return err
	}
	cache := p.path("ld.so.cache")
	if out, err := exec.Command("/sbin/ldconfig", "-X", "-C", cache).CombinedOutput(); err != nil {
		return fmt.Errorf("making the loader's cache: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return bind(cache, "/etc/ld.so.cache")
}

// SystemLibraries is the directory of the system's C library, without symbolic links.
func SystemLibraries() (string, error) {
	// Debian keeps those of other architectures beside its own.
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	for _, dir := range []string{"/usr/lib/" + machine + "-linux-gnu", "/usr/lib64", "/usr/lib"} {
		if _, err := os.Stat(filepath.Join(dir, "libc.so.6")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("finding the directory of libc.so.6: %w", fs.ErrNotExist)
}

// kept are the entries of /dev that a machine keeps; what is not there is left out.
var kept = []string{"null", "zero", "full", "random", "urandom", "tty", "fuse", "pts", "shm", "mqueue", "net"}

// devices replaces /dev by one with the driver's nodes, each of them the null device.
func (p plan) devices() error {
	dev := p.path("dev")
	if err := unix.Mount("tmpfs", dev, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	var errs []error
	for _, name := range kept {
		st, err := os.Stat("/dev/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && st.IsDir() {
			err = os.Mkdir(filepath.Join(dev, name), 0o755)
		} else if err == nil {
			err = fsx.WriteFile(filepath.Join(dev, name), nil, 0o644)
		}
		errs = append(errs, err, bind("/dev/"+name, filepath.Join(dev, name)))
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		errs = append(errs, os.Symlink(target, filepath.Join(dev, name)))
	}
	if p.Place != None {
		errs = append(errs, p.nodes(dev))
	}
	return errors.Join(errors.Join(errs...), bind(dev, "/dev"))
}

// nodes makes the driver's device nodes.
func (p plan) nodes(dev string) error {
	names := []string{"nvidiactl", "nvidia-uvm-tools", "nvidia-modeset"}
	if !p.NoUVM {
		names = append(names, "nvidia-uvm")
	}
	for gpu := range p.GPUs {
		names = append(names, fmt.Sprintf("nvidia%d", gpu))
		for i := range instances {
			names = append(names, fmt.Sprintf("nvidia-caps/nvidia-cap%d", capOf(gpu, i)), fmt.Sprintf("nvidia-caps/nvidia-cap%d", capOf(gpu, i)+1))
		}
	}
	errs := []error{os.Mkdir(filepath.Join(dev, "nvidia-caps"), 0o755)}
	for _, name := range names {
		path := filepath.Join(dev, name)
		errs = append(errs, fsx.WriteFile(path, nil, 0o644), bind("/dev/null", path))
	}
	for _, gpu := range p.Denied {
		// A node on a mount without devices cannot be opened, which is what the device rules of a cgroup make of one.
		path := filepath.Join(dev, fmt.Sprintf("nvidia%d", gpu))
		errs = append(errs, withoutDevices(path))
	}
	return errors.Join(errs...)
}

// withoutDevices changes a mount. The flags that it has stay: a user namespace may not take off those of its maker's.
func withoutDevices(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("looking at the mount %s: %w", path, err)
	}
	// The flags of statfs(2) and of mount(2) have the same bits, but that of relatime.
	flags := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	if err := unix.Mount("", path, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NODEV|flags, ""); err != nil {
		return fmt.Errorf("mounting %s without devices: %w", path, err)
	}
	return nil
}
