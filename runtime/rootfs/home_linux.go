package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// maxHome bounds how many directories are made for a home, and how long its path may be, in bytes.
const maxHomeDepth, maxHome = 16, 1024

// makeHome makes sure that a user has the home directory that the image names, an absolute path: programs put caches there, and
// fail where there is none. What is missing is made below the root, the directory itself the user's. there is false where the
// image has something else in its place.
func makeHome(root *os.File, home string, u User) (there bool, err error) {
	home = strings.Trim(path.Clean(home), "/")
	parts := strings.Split(home, "/")
	if home == "" || len(parts) > maxHomeDepth || len(home) > maxHome {
		return home == "", nil
	}
	if there, missing, err := isDir(root, home); !missing {
		return there, err
	}
	for i, name := range parts {
		there, missing, err := isDir(root, strings.Join(parts[:i+1], "/"))
		if missing {
			there, err = makeDir(root, strings.Join(parts[:i], "/"), name, u, i == len(parts)-1)
		}
		if !there || err != nil {
			return false, err
		}
	}
	return true, nil
}

// isDir reports whether a directory of the root is there, or whether nothing is.
func isDir(root *os.File, name string) (there, missing bool, err error) {
	fd, err := sys.OpenInRoot(int(root.Fd()), name, unix.O_PATH|unix.O_DIRECTORY, 0)
	switch {
	case err == nil:
		return true, false, sys.Close(fd)
	case errors.Is(err, unix.ENOENT):
		return false, true, nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENAMETOOLONG):
		return false, false, nil
	}
	return false, false, fmt.Errorf("looking for the home directory: %w", err)
}

// makeDir makes a directory of the root, which is the user's when it is to be and the namespace has such a one.
func makeDir(root *os.File, parent, name string, u User, own bool) (made bool, err error) {
	dir := int(root.Fd())
	if parent != "" {
		if dir, err = sys.OpenInRoot(dir, parent, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
			return false, fmt.Errorf("making the home directory: %w", err)
		}
		defer func() { err = errors.Join(err, sys.Close(dir)) }()
	}
	err = sys.MkdirAt(dir, name, 0o755)
	if errors.Is(err, fs.ErrExist) { // a link that leads nowhere
		return false, nil
	}
	if err == nil && own {
		err = sys.ChownAt(dir, name, u.UID, u.GID)
		// There is one user, who has made it, or nobody who could be given anything.
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
			err = nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("making the home directory: %w", err)
	}
	return true, nil
}
