package location

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Own makes a directory of the user's choice, mode 0700, or checks the one that is there: it must belong to the caller
// and nobody else may write it. Where the umask is 0002 a fresh directory of the user's lets its group write; that is
// taken back as long as it is empty.
func Own(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := checkOwner(dir, st); err != nil {
		return err
	}
	if st.Mode().Perm()&0o022 == 0 {
		return nil
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return errors.Join(fmt.Errorf("%s can be written by others (%v; chmod go-w makes it private): %w", dir, st.Mode().Perm(), ErrNotOwned), err)
	}
	return os.Chmod(dir, st.Mode().Perm()&^0o022)
}

// makeDir makes a directory of the store with those above it. The error is a *DirError.
func makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return nil
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		dir = path.Path // the one of them that could not be made
	}
	return &DirError{Dir: dir, Err: err}
}

// Make makes a directory below a root of the store's. The error is a *DirError.
func Make(dir string) error {
	err := Check(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return &DirError{Dir: dir, Err: err}
	}
	return Check(dir)
}

// Check looks whether a directory below a root of the store's is one, and not a link: a job that has the store among its volumes can
// put one there, to where the names are those of others.
func Check(dir string) error {
	st, err := os.Lstat(dir)
	switch {
	case err != nil:
		return &DirError{Dir: dir, Err: err}
	case st.Mode()&fs.ModeSymlink != 0:
		return &DirError{Dir: dir, Err: errLink}
	case !st.IsDir():
		return &DirError{Dir: dir, Err: syscall.ENOTDIR}
	}
	return nil
}

// checkOwner refuses what belongs to somebody else.
func checkOwner(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user: %w", path, ErrNotOwned)
	}
	return nil
}
