package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Source is what a volume is mounted from where that is not simply a directory of the host: the files of an image, or a part of an
// image or a volume. Links in either lead nowhere but into it.
type Source struct {
	Target  []byte   `json:"target"`            // of the volume
	Layers  []string `json:"layers,omitempty"`  // of an image, the base first
	Copy    string   `json:"copy,omitempty"`    // an empty directory for a copy of them, where the kernel has no overlay
	Dir     string   `json:"dir,omitempty"`     // of a volume, instead
	Subpath string   `json:"subpath,omitempty"` // relative
}

// Mount makes the source ready, for which it mounts on names beginning with place, and returns its path.
func (s Source) Mount(place string) (path string, made Made, err error) {
	root := s.Dir
	if len(s.Layers) > 0 {
		root = place
		if err := os.Mkdir(root, 0o755); err != nil {
			return "", made, fmt.Errorf("making a mount point: %w", err)
		}
		if made, err = s.view(root, place+"-empty"); err != nil {
			return "", made, fmt.Errorf("mounting the image's files: %w", err)
		}
	}
	if s.Subpath == "" {
		return root, made, nil
	}
	path, err = part(root, s.Subpath, place+"-part")
	return path, made, err
}

// view mounts the layers, read-only. An empty directory below them makes two of one, which is the least that overlayfs takes, and it
// alone knows which files of a layer stand for those that are gone.
func (s Source) view(target, empty string) (Made, error) {
	if err := os.Mkdir(empty, 0o755); err != nil {
		return Made{}, fmt.Errorf("making a mount point: %w", err)
	}
	r := Root{Layers: slices.Insert(distinct(visible(s.Layers)), 0, empty)}
	err := r.overlay(target)
	if err == nil {
		return Made{Way: Overlay}, nil
	}
	return r.instead(target, s.Copy, err)
}

// part mounts what lies at a path in a tree that nobody trusts on a name beside it.
func part(root, subpath, place string) (_ string, err error) {
	dir, err := sys.OpenDir(root)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	fd, err := sys.OpenInRoot(dir, subpath, unix.O_PATH, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return "", fmt.Errorf("there is no %q in it", subpath)
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	st, err := sys.Stat(fd, subpath)
	if err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		err = sys.MkdirAt(unix.AT_FDCWD, place, 0o755)
	} else {
		var file int
		if file, err = sys.CreateAt(unix.AT_FDCWD, place, 0o644); err == nil {
			err = sys.Close(file)
		}
	}
	if err != nil {
		return "", err
	}
	return place, sys.Mount(sys.FDPath(fd), place, "", unix.MS_BIND|unix.MS_REC, "")
}
