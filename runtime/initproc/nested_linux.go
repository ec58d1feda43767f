package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// checkNested looks at the targets that lie in what is mounted before them, which are not the image's: in a directory of the host
// that the job may write to, a mount point that is missing is made, as docker does, and stays; in one that is read-only nothing is
// ever made.
func checkNested(mounts []specs.Mount) error {
	for i, m := range mounts {
		above, ok := cover(mounts[:i], m.Destination)
		if !ok || above.Type != "bind" {
			continue
		}
		if err := checkBelow(above, m); err != nil {
			return err
		}
	}
	return nil
}

// cover finds the mount in which a target lies.
func cover(mounts []specs.Mount, target string) (found specs.Mount, ok bool) {
	for _, m := range mounts {
		if strings.HasPrefix(target, m.Destination+"/") && len(m.Destination) > len(found.Destination) {
			found, ok = m, true
		}
	}
	return found, ok
}

// checkBelow compares kinds as compareKinds does. A link on the way may lead anywhere in the container: then libcontainer finds out.
func checkBelow(above, m specs.Mount) (err error) {
	rest, err := filepath.Rel(above.Destination, m.Destination)
	if err != nil {
		return err
	}
	root, err := sys.OpenDir(above.Source)
	if err != nil {
		return nil // whoever mounts it says more
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	fd, err := sys.OpenBeneath(root, rest, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) && slices.Contains(above.Options, "ro") {
		err = fmt.Errorf("%s: there is no such place in the read-only volume %s, where none can be made", m.Destination, above.Destination)
		if !strings.HasPrefix(above.Source, workshop) {
			err = fmt.Errorf("%w: make it in %s first", err, above.Source)
		}
		return err
	}
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%s: nothing can be mounted there: in the volume %s a part of that path is a file", m.Destination, above.Destination)
	}
	if err != nil {
		return nil // likewise
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	st, err := sys.Stat(fd, rest)
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	directory, known := isSourceDirectory(m)
	return mismatch(m.Destination, "the volume "+above.Destination, directory, st.Mode&unix.S_IFMT == unix.S_IFDIR, known)
}
