package fsx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Amount is what a tree takes.
type Amount struct {
	Bytes   int64 `json:"bytes"`   // of file content; several names of one file count each
	Entries int64 `json:"entries"` // files, directories and the rest, the tree's root included
	Partial bool  `json:"partial"` // there is more, behind the limit or where something could not be read
}

// Add adds another tree.
func (a *Amount) Add(other Amount) {
	a.Bytes += other.Bytes
	a.Entries += other.Entries
	a.Partial = a.Partial || other.Partial
}

// Measure adds up a tree, at most limit entries of it when limit is not 0. No link is followed. The tree may change while it
// is measured; what is closed to the caller, as an overlay's work directory is, counts as empty, and when it is somebody else's,
// as Partial.
func Measure(path string, limit int64) (a Amount) {
	// The function returns no error but SkipAll.
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			a.Partial = a.Partial || !gone(err) || ofOthers(d)
			return nil
		}
		if limit > 0 && a.Entries >= limit {
			a.Partial = true
			return filepath.SkipAll
		}
		a.Entries++
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			a.Partial = a.Partial || !gone(err)
			return nil
		}
		a.Bytes += info.Size()
		return nil
	})
	return a
}

// ofOthers reports whether an entry belongs to another user.
func ofOthers(d fs.DirEntry) bool {
	if d == nil {
		return false
	}
	info, err := d.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Geteuid()
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) }
