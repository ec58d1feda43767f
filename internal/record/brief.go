package record

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// worthIndexing is how many records have to be read in full before an index is made of them: fewer are read as fast.
func worthIndexing(all int) int {
	const least, part = 32, 100
	return max(least, all/part)
}

// brief is all records, newest first, with briefFields of each; whether there is more of one depends on where it is from. Records
// that have ended, and have not changed since, are from the index. In place of what is no record there is a view without an id, and
// may be in place of one that has another name than is asked for; "" is any.
func (r *Runs) brief(name string) (views []View, err error) {
	ids, err := r.IDs()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	dir, err := sys.OpenDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.Close(dir)) }()
	b := briefing{Runs: r, dir: dir, name: name, ids: ids, views: make([]View, len(ids)), entries: r.readIndex().of(ids)}
	beside(len(ids), b.take)
	var rest []int
	for i, e := range b.entries {
		if e.id == "" {
			rest = append(rest, i)
		}
	}
	var w *indexWriter
	if len(rest) >= worthIndexing(len(ids)) {
		w, _ = r.beginIndex() // nil where nothing can be written: it will do without
	}
	beside(len(rest), func(n int) { b.read(rest[n]) })
	if w != nil {
		_ = w.finish(r, b.next(w.before)) // likewise
	}
	return b.views, nil
}

// of are the entries of some records, the newest first, each in the place of its id.
func (idx index) of(ids []string) []entry {
	entries := make([]entry, len(ids))
	for i, id := range ids {
		for len(idx) > 0 && idx[0].id > id {
			idx = idx[1:] // its record has been taken away
		}
		if len(idx) > 0 && idx[0].id == id {
			entries[i] = idx[0]
		}
	}
	return entries
}

// briefing is one call of brief. The lists are by the place of an id.
type briefing struct {
	*Runs
	dir     int
	name    string
	ids     []string
	views   []View
	entries []entry // for the next index; without an id where there is to be none
}

// take takes a record from the index, if that is still right; else there is no entry any more.
func (b *briefing) take(i int) {
	e := b.entries[i]
	if e.id == "" {
		return
	}
	changed, err := b.changedAt(e.id)
	if err == nil && changed == e.changed && (b.name != "" && !e.named(b.name) || e.view(&b.views[i], b.Runs.dir)) {
		return
	}
	b.views[i], b.entries[i] = View{}, entry{}
}

// changedAt is when something was last put into a record, or its files were replaced.
func (b *briefing) changedAt(id string) (int64, error) {
	var st unix.Stat_t
	if err := sys.Retry(func() error { return unix.Fstatat(b.dir, id, &st, unix.AT_SYMLINK_NOFOLLOW) }); err != nil {
		return 0, &os.PathError{Op: "stat", Path: id, Err: err}
	}
	return st.Ctim.Nano(), nil
}

// read reads a record in full.
func (b *briefing) read(i int) {
	changed, err := b.changedAt(b.ids[i]) // first: what changes later makes the entry a stale one
	v, settled := b.tolerate(b.ids[i])
	b.views[i] = v
	// The ports of private networks are no part of an entry: these are few, and are read.
	if settled && err == nil && v.Private == nil {
		b.entries[i] = newEntry(changed, v)
	}
}

// next is the index of what has been found, and had not changed any more by then.
func (b *briefing) next(before int64) index {
	return slices.DeleteFunc(b.entries, func(e entry) bool { return e.id == "" || e.changed >= before })
}

// named is the newest record with a name.
func (r *Runs) named(name string) (View, error) {
	views, err := r.brief(name)
	if err != nil {
		return View{}, err
	}
	for _, v := range views {
		if v.ID == "" || v.Name != name {
			continue
		}
		whole, err := r.read(v.ID)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been taken away
		}
		if err != nil || whole.Name == name {
			return whole, err
		}
	}
	return View{}, ErrNotFound
}
