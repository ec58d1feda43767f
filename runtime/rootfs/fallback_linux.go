package rootfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Way is how a root file system was made.
type Way string

// The ways, the best one first.
const (
	Overlay Way = "overlay"        // the kernel's overlayfs
	Fuse    Way = "fuse-overlayfs" // a program of that name: slower, and nothing is copied
	Copy    Way = "copy"           // of the layers' files into the upper
)

// Made says how a root came to be, and at what cost where that was not for nothing.
type Made struct {
	Way     Way     `json:"way"`
	Why     string  `json:"why,omitempty"`   // there is no overlay
	Again   bool    `json:"again,omitempty"` // of an Upper that is kept, for which it was the way before
	Bytes   int64   `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// refusals are the errors of a kernel that has no overlayfs, gives it to no user namespace (before Linux 5.11, or an
// administrator's choice), or cannot have an upper on its file system (NFS, Lustre, another overlay). Others are failures.
var refusals = []error{unix.ENODEV, unix.EPERM, unix.EACCES, unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS, errTooMany}

// instead makes the root without overlayfs, which why refused: by fuse-overlayfs, else in a directory for a copy, which is empty.
func (r Root) instead(target, room string, why error) (Made, error) {
	if !slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(why, refusal) }) {
		return Made{}, why
	}
	fuseErr := r.mountByFuse(target)
	if fuseErr == nil {
		return Made{Way: Fuse, Why: why.Error()}, nil
	}
	start := time.Now()
	bytes, err := r.copyLayers(room)
	if err == nil {
		err = sys.Mount(room, target, "", unix.MS_BIND, "")
	}
	if err != nil {
		return Made{}, fmt.Errorf("%w; copying the layers instead: %w", why, err)
	}
	return Made{Way: Copy, Why: why.Error() + "; " + fuseErr.Error(), Bytes: bytes, Seconds: time.Since(start).Seconds()}, nil
}

// fusePaths are where administrators put the program. The caller's PATH is not known here.
var fusePaths = []string{"/usr/local/bin/fuse-overlayfs", "/usr/bin/fuse-overlayfs", "/bin/fuse-overlayfs"}

// mountByFuse has the program mount the root. It stays as a process of this pid namespace, and ends with it.
func (r Root) mountByFuse(target string) (err error) {
	i := slices.IndexFunc(fusePaths, func(path string) bool { return unix.Access(path, unix.X_OK) == nil })
	if i < 0 {
		return errors.New("fuse-overlayfs is not installed")
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return &os.PathError{Op: "access", Path: "/dev/fuse", Err: err}
	}
	said, err := sys.NewMemfd("fuse-overlayfs")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, said.Close()) }()
	const firstExtra = 3
	var dirs []*os.File
	defer func() {
		for _, dir := range dirs {
			err = errors.Join(err, dir.Close())
		}
	}()
	options, err := r.options(func(path string) (string, error) {
		fd, err := sys.OpenDir(path)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, os.NewFile(uintptr(fd), path))
		return "/proc/self/fd/" + strconv.Itoa(firstExtra+len(dirs)-1), nil
	})
	if err != nil {
		return err
	}
	cmd := exec.Command(fusePaths[i], "-o", options, target)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = []string{}, dirs, said // a pipe would be held open by what stays
	if err := sys.Spared(cmd.Run); err != nil {
		text := make([]byte, 1<<10)
		n, _ := said.ReadAt(text, 0) // what there is
		lines := strings.Split(strings.TrimSpace(string(text[:n])), "\n")
		return fmt.Errorf("fuse-overlayfs: %w: %s", err, lines[len(lines)-1]) // the first ones are remarks
	}
	return nil
}
