package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record/index"
	"github.com/coracle-run/coracle/internal/sys"
)

// racy is that of the index; tests on a file system with a fine clock have less.
var racy = index.Racy

// worthIndexing is how many records have to be read in full before an index is made of them: fewer are read as fast.
func worthIndexing(all int) int {
	const least, part = 32, 100
	return max(least, all/part)
}

// indexFile is this host's: on a network file system each has its own, because each knows its own boots alone.
func (r *Runs) indexFile() (path string, form index.Form, err error) {
	self, err := host.Self()
	if err != nil {
		return "", index.Form{}, err
	}
	path = filepath.Join(filepath.Dir(r.dir), "index", strings.ReplaceAll(self.Host, "/", "_"))
	return path, index.Form{Name: briefForm + " " + strings.Join(briefFields, " "), Boot: self.BootID}, nil
}

// briefly packs records, each in the place of its id: those that have ended, and have not changed since, are from the index, the others
// are read. In place of what is no record there is an entry without an id.
func (r *Runs) briefly(ids []string) (entries []index.Entry, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	dir, err := sys.OpenDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	path, form, indexErr := r.indexFile()
	b := briefing{Runs: r, dir: dir, ids: ids}
	if indexErr == nil {
		b.entries = index.Match(index.Read(path, form), ids)
	} else {
		b.entries = make([]index.Entry, len(ids))
	}
	beside(len(ids), b.check)
	var rest []int
	for i, e := range b.entries {
		if e.ID == "" {
			rest = append(rest, i)
		}
	}
	var w *index.Writer
	if indexErr == nil && len(rest) >= worthIndexing(len(ids)) {
		w = r.beginIndex()
	}
	beside(len(rest), func(n int) { b.read(rest[n]) })
	if w != nil {
		_ = w.Finish(path, b.entries, form) // else the next list does without, too
	}
	return b.entries, nil
}

// beginIndex returns nil where nothing can be written: it will do without.
func (r *Runs) beginIndex() *index.Writer {
	tmp, err := tmpOf(filepath.Join(r.dir, "any"))
	if err != nil {
		return nil
	}
	w, err := index.Begin(tmp, racy)
	if err != nil {
		return nil
	}
	return w
}

// briefing is one call of briefly. The lists are by the place of an id.
type briefing struct {
	*Runs
	dir     int
	ids     []string
	entries []index.Entry
}

// check keeps the entry of a record only if it is still right.
func (b *briefing) check(i int) {
	e := &b.entries[i]
	if e.ID == "" {
		return
	}
	if changed, err := b.changedAt(e.ID); err != nil || changed != e.Changed {
		*e = index.Entry{}
	}
}

// changedAt is when something was last put into a record, or its files were replaced.
func (b *briefing) changedAt(id string) (int64, error) {
	var st unix.Stat_t
	if err := sys.Retry(func() error { return unix.Fstatat(b.dir, id, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return 0, &os.PathError{Op: "stat", Path: id, Err: err}
	}
	return st.Ctim.Nano(), nil
}

// read reads a record in full. The entry of one that has not ended, or whose change cannot be told, has no time: no index takes it.
func (b *briefing) read(i int) {
	changed, err := b.changedAt(b.ids[i]) // first: what changes later makes the entry a stale one
	v, settled := b.tolerate(b.ids[i])
	if v.ID == "" {
		return
	}
	if err != nil || !settled {
		changed = 0
	}
	b.entries[i] = index.Entry{ID: v.ID, Changed: changed, Text: packed(&v)}
}

// named is the newest record with a name.
func (r *Runs) named(name string) (View, error) {
	ids, err := r.IDs()
	if err != nil {
		return View{}, err
	}
	entries, err := r.briefly(ids)
	if err != nil {
		return View{}, err
	}
	for _, e := range entries {
		if e.ID == "" || !isNamed(e, name) {
			continue
		}
		v, err := r.read(e.ID)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been taken away
		}
		if err != nil || v.Name == name {
			return v, err
		}
	}
	return View{}, ErrNotFound
}
