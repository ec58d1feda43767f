package gpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// find is the path of the helper's program. A program that anybody may write to is none: it would run with the caller's rights.
func (p Place) find() (string, error) {
	places := []string{p.Helper}
	if p.Helper == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("%w: finding the directory of this program: %w", ErrNoHelper, err)
		}
		dir := filepath.Dir(self)
		places = []string{filepath.Join(dir, HelperName), filepath.Join(dir, "..", "libexec", "coracle", HelperName)}
	}
	for _, path := range places {
		err := executable(path)
		if err == nil {
			return filepath.Abs(path)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%w: %s: %w", ErrNoHelper, path, err)
		}
	}
	return "", fmt.Errorf("%w: no program %s", ErrNoHelper, strings.Join(places, " or "))
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
