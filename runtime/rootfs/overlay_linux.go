package rootfs

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/undo"
)

// ErrOverlay marks a failure to mount the overlay file system.
var ErrOverlay = errors.New("cannot mount the root file system")

// Root is the root file system of one container. All directories are absolute paths.
type Root struct {
	Layers []string `json:"layers"` // unpacked layer trees, the base first, as in the image's manifest
	Upper  string   `json:"upper"`  // takes what the job writes; empty before
	Work   string   `json:"work"`   // overlayfs's own, empty, on the file system of Upper
}

// Mount mounts the root on an existing directory, in the calling process's mount namespace. The root directory has the mode
// of Upper.
func (r Root) Mount(target string) error {
	if len(r.Layers) == 0 {
		return fmt.Errorf("%w: the image has no layers", ErrOverlay)
	}
	facts, err := host.Read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOverlay, err)
	}
	byContext := facts.KernelAtLeast(6, 5) // older ones would log each attempt as a mistake
	if byContext {
		err = r.mountByContext(target)
	}
	if !byContext || sys.Unsupported(err) {
		err = r.mountByOptions(target)
	}
	if err != nil {
		return fmt.Errorf("%w: %d layers on %s: %w", ErrOverlay, len(r.Layers), target, err)
	}
	return nil
}

// mountByContext uses the mount API of Linux 6.5, which takes layers one by one and so has room for hundreds.
func (r Root) mountByContext(target string) (err error) {
	fs, err := sys.NewMountContext("overlay")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	for _, layer := range slices.Backward(r.Layers) {
		if err := fs.Set("lowerdir+", layer); err != nil {
			return err
		}
	}
	if err := fs.Set("upperdir", r.Upper); err != nil {
		return err
	}
	if err := fs.Set("workdir", r.Work); err != nil {
		return err
	}
	for _, flag := range flags {
		if err := fs.SetFlag(flag); err != nil {
			return err
		}
	}
	return fs.MoveTo(target)
}

// flags: userxattr, because trusted.* attributes need privilege on the host; volatile, because the upper dies with the run
// and nobody should wait for it to reach the disk.
var flags = []string{"userxattr", "volatile"}

// mountByOptions uses mount(2), whose options must fit one page of 4096 bytes: directories are named by descriptors of
// about 17 bytes rather than by paths.
func (r Root) mountByOptions(target string) (err error) {
	var held undo.Stack
	defer func() { err = errors.Join(err, held.Run()) }()
	hold := func(dir string) (string, error) {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: dir, Err: err}
		}
		held.Add(func() error { return unix.Close(fd) })
		return "/proc/self/fd/" + strconv.Itoa(fd), nil
	}
	var lower []string
	for _, layer := range slices.Backward(r.Layers) {
		dir, err := hold(layer)
		if err != nil {
			return err
		}
		lower = append(lower, dir)
	}
	options := strings.Join(append([]string{
		"lowerdir=" + strings.Join(lower, ":"), "upperdir=" + escape(r.Upper), "workdir=" + escape(r.Work),
	}, flags...), ",")
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%d layers do not fit the mount options of this kernel: Linux 6.5 has room for hundreds", len(r.Layers))
	}
	return sys.Mount("overlay", target, "overlay", 0, options)
}

// escape quotes what separates mount options in a path.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`).Replace(path)
}
