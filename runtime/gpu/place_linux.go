package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Place says where the driver and the program that asks it are. Its zero value is where they usually are.
type Place struct {
	DriverRoot string // see Request
	Helper     string // the helper's program; "": beside this program, else in libexec/coracle beside its directory

	Patience time.Duration // for one answer; 0: as long as a working driver may need at its worst
}

// find is the path of the helper's program. A program that somebody else may have written is none: it would run with the caller's rights.
func (p Place) find() (string, error) {
	if p.Helper != "" {
		return first([]string{p.Helper}, executable)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: finding the directory of this program: %w", ErrNoHelper, err)
	}
	owner, err := ownerOf(self)
	if err != nil {
		return "", fmt.Errorf("%w: finding the owner of this program: %w", ErrNoHelper, err)
	}
	return beside(self, []int{0, os.Getuid(), owner})
}

// beside finds the helper that is installed with a program: its owner and that of its directory is one of those given. Where the
// program lies in /tmp, or in a directory there, the other places may be anybody's.
func beside(self string, owners []int) (string, error) {
	dir := filepath.Dir(self)
	places := []string{filepath.Join(dir, HelperName), filepath.Join(dir, "..", "libexec", "coracle", HelperName)}
	return first(places, func(path string) error {
		if err := executable(path); err != nil {
			return err
		}
		for _, path := range []string{path, filepath.Dir(path)} {
			owner, err := ownerOf(path)
			if err != nil {
				return err
			}
			if !slices.Contains(owners, owner) {
				return fmt.Errorf("%s belongs to user %d", path, owner)
			}
		}
		return nil
	})
}

// first is the first of some paths that are there, if it can be used.
func first(places []string, check func(string) error) (string, error) {
	for _, path := range places {
		err := check(path)
		if err == nil {
			return filepath.Abs(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %s: %w", ErrNoHelper, path, err)
		}
	}
	return "", fmt.Errorf("%w: no program %s", ErrNoHelper, strings.Join(places, " or "))
}

func ownerOf(path string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return int(st.Uid), nil
}

// executable reports why a file is no program that this process should run.
func executable(path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		var named *fs.PathError
		if errors.As(err, &named) {
			return named.Err
		}
		return err
	case !st.Mode().IsRegular():
		return errors.New("it is no file")
	case st.Mode().Perm()&0o002 != 0:
		return errors.New("everybody may write to it")
	}
	return unix.Access(path, unix.X_OK)
}
