// Package fingerprint looks at the files of the host that a job mounts, without reading them: how many there are, how large, how new, and
// which of them have changed.
//
// What is looked at is bounded: the metadata servers of a cluster have other things to do.
package fingerprint

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Patience is how long all mounts of a run are looked at.
const Patience = 2 * time.Second

// most is how many files are looked at in one mount.
const most = 10_000

// ErrTooMany says that a mount has more files than are looked at.
var ErrTooMany = errors.New("more files than are looked at")

// Has reports whether a mount is of files of the host, which may be others the next time.
func Has(m record.Mount) bool {
	return m.Source != "" && (m.Type == spec.Bind || m.Type == spec.Named)
}

// Of is the fingerprint of a mount. created is when the run was made, or the one that it is compared with: what a job has written to a
// mount since then is left out. The error is nil for a whole one; it is ErrTooMany, that of the context, or of what cannot be looked at.
func Of(ctx context.Context, m record.Mount, created time.Time) (f record.Fingerprint, err error) {
	source, err := filepath.EvalSymlinks(m.Source)
	if err != nil {
		return f, err
	}
	seen := 0
	err = filepath.WalkDir(source, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > most {
			return ErrTooMany
		}
		if entry.IsDir() {
			return ctx.Err()
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		if m.Mode == record.ReadWrite && !info.ModTime().Before(created) { // what the job itself has written
			return nil
		}
		f.Files++
		f.Bytes += info.Size()
		if t := info.ModTime().UTC(); t.After(f.Newest) {
			f.Newest = t
		}
		return nil
	})
	return f, err
}

// Changed are the regular files of a mount that have changed since a time, by their paths inside. whole is false where not all of them
// could be looked at.
func Changed(ctx context.Context, m record.Mount, since time.Time) (files []record.ChangedFile, whole bool) {
	source, err := filepath.EvalSymlinks(m.Source)
	if err != nil {
		return nil, false
	}
	// File systems round times down to a tick of the kernel's clock, and some to more.
	const tick = 10 * time.Millisecond
	seen := 0
	err = filepath.WalkDir(source, func(at string, entry fs.DirEntry, err error) error {
		if seen++; seen > most || ctx.Err() != nil {
			return ErrTooMany
		}
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // a directory that cannot be read has no file that can be named
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(since.Add(-tick)) {
			return nil //nolint:nilerr // gone meanwhile, or none that was saved
		}
		name, err := filepath.Rel(source, at)
		if err != nil {
			return err
		}
		files = append(files, record.ChangedFile{Path: path.Join(m.Target, name), Bytes: info.Size(), Changed: info.ModTime()})
		return nil
	})
	return files, err == nil
}
