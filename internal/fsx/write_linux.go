package fsx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Option changes how a file is written.
type Option int

// Sync waits for the disk: once the call returns, a power cut loses neither the content nor the name. Without it a file
// is still whole or absent for every process, but after a power cut it may be either.
const Sync Option = 1

// WriteFile makes path hold exactly data, with permission bits perm whatever the umask. Readers see the old file or the
// new one, never a part. The temporary file is made in the same directory; where a killed process must leave nothing
// there, use WriteVia.
func WriteFile(path string, data []byte, perm os.FileMode, opts ...Option) error {
	return WriteVia(filepath.Dir(path), path, data, perm, opts...)
}

// WriteVia is WriteFile with its temporary file in the directory tmp, which must be on the file system of path and is
// swept by the caller's own means (see TempName).
func WriteVia(tmp, path string, data []byte, perm os.FileMode, opts ...Option) (err error) {
	name, err := TempName()
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	temp := filepath.Join(tmp, name)
	defer func() {
		if err != nil {
			removeErr := IgnoreMissing(os.Remove(temp))
			if errno, ok := errors.AsType[unix.Errno](removeErr); ok && errors.Is(err, errno) {
				removeErr = nil // the directory is out of reach, as has been said
			}
			err = fmt.Errorf("writing %s: %w", path, errors.Join(unnamed(err, temp), removeErr))
		}
	}()
	durable := len(opts) > 0 && opts[0] == Sync
	if err := writeNew(temp, data, perm, durable); err != nil {
		return err
	}
	if err := Rename(temp, path); err != nil {
		return err
	}
	if durable {
		return SyncDir(filepath.Dir(path))
	}
	return nil
}

// unnamed is an error of a temporary file, by the directory that it is in: its name tells nobody anything.
func unnamed(err error, temp string) error {
	if e, ok := errors.AsType[*os.LinkError](err); ok && e.Old == temp {
		return &fs.PathError{Op: e.Op, Path: e.New, Err: e.Err}
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Path == temp {
		return &fs.PathError{Op: e.Op, Path: filepath.Dir(temp), Err: e.Err}
	}
	return err
}

// writeNew makes a file that must not be there yet and fills it.
func writeNew(path string, data []byte, perm os.FileMode, durable bool) (err error) {
	f, err := CreateExclusive(path, perm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := Step("write", path); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	if err := Step("sync", path); err != nil {
		return err
	}
	return f.Sync()
}

// CreateExclusive makes a file for writing, with permission bits perm whatever the umask. A name that is taken, be it by a
// dangling link, is fs.ErrExist.
func CreateExclusive(path string, perm os.FileMode) (*os.File, error) {
	if err := Step("create", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, perm)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(perm); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// AppendFile opens a file for appending and makes it when it is not there. What is in its place and no regular file,
// be it a link, is ErrNotRegular; nobody waits for the reader of a pipe.
func AppendFile(path string, perm os.FileMode) (*os.File, error) {
	if err := Step("append", path); err != nil {
		return nil, err
	}
	return openRegular(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
}

// Mkdir makes a directory. The umask applies.
func Mkdir(path string, perm os.FileMode) error {
	if err := Step("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, perm)
}

// MkdirMode makes a directory with just these permissions, whatever the umask.
func MkdirMode(path string, perm os.FileMode) error {
	if err := Mkdir(path, perm); err != nil {
		return err
	}
	return os.Chmod(path, perm)
}

// MkdirAll makes a directory with those above it; one that is there is no step.
func MkdirAll(path string, perm os.FileMode) error {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return nil
	}
	if err := Step("mkdir", path); err != nil {
		return err
	}
	return os.MkdirAll(path, perm)
}

// Rename is rename(2): atomic on one file system. A directory never replaces one that has entries: see IsNotEmpty.
func Rename(from, to string) error {
	if err := Step("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// SyncDir waits until the names in a directory are on the disk. A file system that cannot sync a directory (some network
// file systems say EINVAL) has done what it can.
func SyncDir(path string) (err error) {
	if err := Step("syncdir", path); err != nil {
		return err
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return syncOpenDir(d)
}

func syncOpenDir(d *os.File) error {
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// Settle waits until the regular files of an opened directory are on the disk, with their names. Directories in it are not looked
// into.
func Settle(dir *os.File) error {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	errs := make([]error, len(entries))
	var all sync.WaitGroup // beside each other, so that a journal takes them at once
	for i, entry := range entries {
		if entry.Type().IsRegular() {
			all.Go(func() { errs[i] = syncAt(dir, entry.Name()) })
		}
	}
	all.Wait()
	return errors.Join(errors.Join(errs...), syncOpenDir(dir))
}

// syncAt waits for one file. One that somebody has taken away meanwhile is not wanted there.
func syncAt(dir *os.File, name string) (err error) {
	if err := Step("sync", filepath.Join(dir.Name(), name)); err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return IgnoreMissing(&fs.PathError{Op: "open", Path: filepath.Join(dir.Name(), name), Err: err})
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
