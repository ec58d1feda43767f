package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/undo"
)

// ErrOverlay marks a failure to mount the overlay file system.
var ErrOverlay = errors.New("cannot mount the root file system")

var errTooMany = errors.New("they do not fit the mount options of this kernel (Linux 6.5 has room for hundreds)")

// Root is the root file system of one container. All directories are absolute paths.
type Root struct {
	Layers []string `json:"layers"` // unpacked layer trees, the base first, as in the image's manifest
	Upper  string   `json:"upper"`  // takes what the job writes; empty before
	Work   string   `json:"work"`   // overlayfs's own, empty, on the file system of Upper

	// Base is the directory below which Upper and Work are, and no link leads to them: a job that can write there could have put one in their
	// place, to files of the host. "": they are where nobody else writes.
	Base string `json:"base,omitempty"`

	// Kept is a file that says in which Way the Upper of an earlier container was made, which then is not empty. Where there is none the Upper is a new
	// one, and it is written before anything runs. "": the Upper is not to be used again.
	Kept string `json:"kept,omitempty"`
}

// Mount mounts the root on an existing directory, in the calling process's mount namespace. The root directory has the mode
// of Upper. Where the kernel has no overlay for it, it is made in another way.
func (r Root) Mount(target string) (Made, error) {
	if len(r.Layers) == 0 {
		return Made{}, fmt.Errorf("%w: the image has no layers", ErrOverlay)
	}
	r.Layers = distinct(visible(r.Layers))
	made, err := r.mountHeld(target)
	if err != nil {
		return Made{}, fmt.Errorf("%w: %d layers on %s: %w", ErrOverlay, len(r.Layers), target, err)
	}
	return made, nil
}

// mountHeld mounts the root with the directories of Base held: they are named by their descriptors.
func (r Root) mountHeld(target string) (_ Made, err error) {
	if r.Base == "" {
		return r.mount(target)
	}
	var dirs held
	defer func() { err = errors.Join(err, dirs.release()) }()
	base, err := sys.OpenDir(r.Base)
	if err != nil {
		return Made{}, err
	}
	dirs.Add(func() error { return sys.Close(base) })
	for _, dir := range []*string{&r.Upper, &r.Work} {
		if *dir, err = dirs.holdBelow(base, r.Base, *dir); err != nil {
			return Made{}, err
		}
	}
	return r.mount(target)
}

// holdBelow is hold for a directory to which no link leads from one that is open.
func (h *held) holdBelow(base int, path, dir string) (string, error) {
	inside, err := filepath.Rel(path, dir)
	if err != nil {
		return "", err
	}
	fd, err := sys.OpenBeneath(base, inside, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	h.Add(func() error { return sys.Close(fd) })
	return sys.FDPath(fd), nil
}

// mount makes the root in the best way there is, or in the one that its Upper was made in.
func (r Root) mount(target string) (Made, error) {
	way, err := r.keptWay()
	if err != nil {
		return Made{}, err
	}
	if way != "" {
		return r.mountAgain(target, way)
	}
	made := Made{Way: Overlay}
	if err = r.overlay(target); err != nil {
		made, err = r.instead(target, r.Upper, err)
	}
	if err == nil && r.Kept != "" {
		err = fsx.WriteVia(r.Work, r.Kept, []byte(made.Way+"\n"), 0o600, fsx.Sync) // who finds none empties the Upper, and Work always
	}
	return made, err
}

// overlay has the kernel mount the layers, read-only where there is no Upper.
func (r Root) overlay(target string) error {
	facts, err := host.Read()
	if err != nil {
		return err
	}
	byContext := facts.KernelAtLeast(6, 5) // older ones would log each attempt as a mistake
	if byContext {
		err = r.mountByContext(target)
	}
	if !byContext || sys.Unsupported(err) || errors.Is(err, unix.EPERM) { // EPERM: of a filter that does not know the calls
		err = r.mountByOptions(target)
	}
	return err
}

// mountByContext uses the mount API of Linux 6.5, which takes layers one by one and so has room for hundreds. A value may have 255
// bytes, a backslash in it is an escape for some of the options, and the job, which can read its mount table, need not know where the
// store is: layers are named by what they do not have in common, other directories by descriptors.
func (r Root) mountByContext(target string) (err error) {
	fs, err := sys.NewMountContext("overlay")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.Close()) }()
	var dirs held
	defer func() { err = errors.Join(err, dirs.release()) }()
	if err := dirs.stack(fs, r.Layers); err != nil {
		return err
	}
	if r.Upper != "" {
		if err := errors.Join(dirs.set(fs, "upperdir", r.Upper), dirs.set(fs, "workdir", r.Work)); err != nil {
			return err
		}
	}
	for _, flag := range r.flags() {
		if err := fs.SetFlag(flag); err != nil {
			return err
		}
	}
	return fs.MoveTo(target)
}

// stack gives overlayfs its lower layers, from the directory that they have in common: to open each and have it found by its
// descriptor takes three times as long.
func (h *held) stack(fs *sys.MountContext, layers []string) error {
	const longest = 255
	base := common(layers)
	return sys.In(base, func() error {
		for _, layer := range slices.Backward(layers) {
			set, name := fs.Set, layer[len(base):]
			if len(name) > longest || base == "/" {
				set, name = func(key, dir string) error { return h.set(fs, key, dir) }, layer
			}
			if err := set("lowerdir+", name); err != nil {
				return err
			}
		}
		return nil
	})
}

// set names a directory by a descriptor.
func (h *held) set(fs *sys.MountContext, key, dir string) error {
	name, err := h.hold(dir)
	if err != nil {
		return err
	}
	return fs.Set(key, name)
}

// common is the deepest directory above all paths, with a slash behind it.
func common(paths []string) string {
	shared := paths[0]
	for _, path := range paths {
		n := 0
		for n < min(len(shared), len(path)) && shared[n] == path[n] {
			n++
		}
		shared = shared[:n]
	}
	return shared[:strings.LastIndexByte(shared, '/')+1]
}

// flags: userxattr, because trusted.* attributes need privilege on the host; volatile, because the upper dies with the run
// and nobody should wait for it to reach the disk. In one that is kept a job's fsync counts.
func (r Root) flags() []string {
	if r.Upper == "" || r.Kept != "" {
		return []string{"userxattr"}
	}
	return []string{"userxattr", "volatile"}
}

// options names the directories as overlayfs takes them.
func (r Root) options(name func(dir string) (string, error)) (string, error) {
	var lower []string
	for _, dir := range slices.Backward(r.Layers) {
		text, err := name(dir)
		if err != nil {
			return "", err
		}
		lower = append(lower, text)
	}
	options := "lowerdir=" + strings.Join(lower, ":")
	if r.Upper == "" {
		return options, nil
	}
	upper, err := name(r.Upper)
	if err != nil {
		return "", err
	}
	work, err := name(r.Work)
	return options + ",upperdir=" + upper + ",workdir=" + work, err
}

// mountByOptions uses mount(2), whose options must fit one page of 4096 bytes.
func (r Root) mountByOptions(target string) (err error) {
	var dirs held
	defer func() { err = errors.Join(err, dirs.release()) }()
	options, err := r.options(dirs.hold)
	if err != nil {
		return err
	}
	options += "," + strings.Join(r.flags(), ",")
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("%w: %d layers", errTooMany, len(r.Layers))
	}
	return sys.Mount("overlay", target, "overlay", 0, options)
}

// held are directories that are open to be named by their descriptors, in about 17 bytes.
type held struct{ undo.Stack }

// hold opens a directory and returns the name.
func (h *held) hold(dir string) (string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: dir, Err: err}
	}
	h.Add(func() error { return unix.Close(fd) })
	return sys.FDPath(fd), nil
}

func (h *held) release() error { return h.Run() }

// visible leaves out the layers below one whose root directory is opaque, which a layer says with a .wh..wh..opq in its root:
// overlayfs heeds that mark in every directory but the roots of layers, which it always merges.
func visible(layers []string) []string {
	for n, layer := range slices.Backward(layers) {
		var value [1]byte
		size, err := unix.Getxattr(layer, sys.OverlayOpaque, value[:])
		if err == nil && size == 1 && value[0] == 'y' { // what cannot be read now fails when it is opened to be mounted
			return layers[n:]
		}
	}
	return layers
}

// distinct leaves out what overlayfs refuses, a layer that is there twice, as some builders have an empty one after every
// instruction that changes no file. The topmost stays: it covers everything that the ones below it could show.
func distinct(layers []string) []string {
	var kept []string
	for _, layer := range slices.Backward(layers) {
		if !slices.Contains(kept, layer) {
			kept = append(kept, layer)
		}
	}
	slices.Reverse(kept)
	return kept
}
