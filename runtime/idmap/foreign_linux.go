package idmap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// ForeignError is a tree with files of ids that the caller has no hold on.
type ForeignError struct {
	Path string
	UID  uint32 // whose files there are
	Err  error
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("removing %s: it holds files of uid %d, which are out of reach: %v", e.Path, e.UID, e.Err)
}

// Unwrap gives what stood in the way.
func (e *ForeignError) Unwrap() error { return e.Err }

// Hint says who can help.
func (e *ForeignError) Hint() string {
	return fmt.Sprintf("ask the administrator to give you back the subordinate ids with uid %d among them (/etc/subuid), or to remove %s", e.UID, e.Path)
}

// RemoveForeign removes a tree with files of the caller's subordinate ids, as runs with SubUID leave them.
func RemoveForeign(path string) error {
	stranger, found := strangerIn(path)
	if !found {
		return fsx.RemoveAll(path) // it fails for another reason, and says so
	}
	ids, err := host.SubordinateIDs()
	if err == nil && !reaches(ids, stranger) {
		err = errors.New("they are not among your subordinate ids (any more)")
	}
	if err == nil {
		err = Remove(context.Background(), ids, path)
	}
	if err != nil {
		return &ForeignError{Path: path, UID: stranger, Err: err}
	}
	return nil
}

func reaches(ids host.IDMap, uid uint32) bool {
	return slices.ContainsFunc(ids.UIDs, func(r host.IDRange) bool { return uid >= r.Host && uid-r.Host < r.Size })
}

// strangerIn finds a file of another user in a tree.
func strangerIn(path string) (uid uint32, found bool) {
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, _ error) error { // what cannot be read belongs to somebody, too
		if d == nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(st.Uid) == os.Geteuid() {
			return nil
		}
		uid, found = st.Uid, true
		return fs.SkipAll
	})
	return uid, found
}
