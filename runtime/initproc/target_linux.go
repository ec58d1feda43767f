package initproc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// theRuntimes are the places that no mount of the user's may cover, even if a link of the image leads there.
var theRuntimes = []string{"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/mqueue"}

// checkTargets looks at where the image leads the mounts that follow the system's own, before anything of the image runs: to
// places that are the runtime's, or to something that cannot be mounted on. libcontainer's own errors about these name
// directories of the host.
func checkTargets(mounts []specs.Mount) error {
	last := 0
	for i, m := range mounts {
		if m.Destination == cgroups {
			last = i + 1
		}
	}
	mounts = mounts[last:]
	for i, m := range mounts {
		if _, nested := cover(mounts[:i], m.Destination); nested {
			continue
		}
		if err := checkTarget(m); err != nil {
			return err
		}
	}
	return checkNested(mounts)
}

func checkTarget(m specs.Mount) error {
	path, err := securejoin.SecureJoin(rootDir, m.Destination)
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%s: the image has a link there that leads nowhere", m.Destination)
	}
	if err != nil {
		var named *fs.PathError // by the host's name of it
		if errors.As(err, &named) {
			err = named.Err
		}
		return fmt.Errorf("%s: %w", m.Destination, err)
	}
	inside := "/" + strings.TrimPrefix(strings.TrimPrefix(path, rootDir), "/")
	if slices.Contains(theRuntimes, inside) || strings.HasPrefix(inside, "/proc/") || strings.HasPrefix(inside, "/sys/") || isDevLink(inside) {
		return fmt.Errorf("%s: in this image that leads to %s, which belongs to the runtime", m.Destination, inside)
	}
	if slices.Contains(devices, inside) { // which is not there yet
		directory, known := isSourceDirectory(m)
		return mismatch(m.Destination, "every container", directory, false, known)
	}
	if file, ok := fileAbove(path); ok {
		return fmt.Errorf("%s: nothing can be mounted there: in the image /%s is a file", m.Destination, strings.TrimPrefix(strings.TrimPrefix(file, rootDir), "/"))
	}
	return compareKinds(m, path)
}

// isDevLink recognises the links of a container's /dev.
func isDevLink(path string) bool {
	name, ok := strings.CutPrefix(path, "/dev/")
	return ok && devLinks[name] != ""
}

// fileAbove finds a file where a path needs a directory.
func fileAbove(path string) (file string, ok bool) {
	for dir := filepath.Dir(path); len(dir) > len(rootDir); dir = filepath.Dir(dir) {
		if is, there := isDirectory(dir); there {
			return dir, !is
		}
	}
	return "", false
}

// compareKinds: a file cannot be mounted on a directory, nor a directory on a file. Of what is not there, the target will be made,
// and about the source whoever mounts it says more.
func compareKinds(m specs.Mount, path string) error {
	directory, known := isSourceDirectory(m)
	onto, there := isDirectory(path)
	return mismatch(m.Destination, "the image", directory, onto, known && there)
}

// isSourceDirectory reports whether a directory is to be mounted, as far as that is known.
func isSourceDirectory(m specs.Mount) (is, known bool) {
	if m.Type == "bind" {
		return isDirectory(m.Source)
	}
	return true, true // a tmpfs is one
}

// mismatch says which of the two is none, in what the target lies in; nil where both are directories or none is, or one is not known.
func mismatch(target, in string, directory, onto, known bool) error {
	switch {
	case !known || onto == directory:
		return nil
	case directory:
		return fmt.Errorf("%s: a directory cannot be mounted there: in %s it is a file", target, in)
	default:
		return fmt.Errorf("%s: a file cannot be mounted there: in %s it is a directory", target, in)
	}
}

func isDirectory(path string) (is, there bool) {
	info, err := os.Stat(path)
	return err == nil && info.IsDir(), err == nil
}
