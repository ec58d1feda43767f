package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
)

// Delta makes, in the empty directory to, a tree with those entries of the flat tree of a layer that do not belong to 0:0 as
// owners, what Options.Owners was told, has it; mounted right above the flat tree it covers them. The directories above them
// come along, and all names of a file that has one of them. Its entries belong to the caller still: Given says to whom they
// are to be given, who must be in ids. A *host.RangeError names an entry of somebody who is not.
//
// Nothing of a layer is trusted here either. Marks of opaque directories stay behind: they would hide the flat tree.
func Delta(ctx context.Context, flat, to string, owners io.Reader, ids host.IDMap) (stats Stats, err error) {
	d := &delta{ctx: ctx, users: host.Span(ids.UIDs), groups: host.Span(ids.GIDs), files: map[uint64]*names{}}
	if d.flat, err = openPlaces(flat); err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, d.flat.close()) }()
	if d.to, err = openPlaces(to); err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, d.to.close()) }()
	for o, err := range ReadOwners(owners) {
		if err == nil {
			err = d.line(o)
		}
		if err != nil {
			return d.stats, fmt.Errorf("telling the owners of a layer's files apart: %w", err)
		}
	}
	err = d.completeLinks()
	if err == nil {
		err = d.finish()
	}
	if err != nil {
		return d.stats, fmt.Errorf("telling the owners of a layer's files apart: %w", err)
	}
	return d.stats, nil
}

// delta is one call of Delta.
type delta struct {
	ctx           context.Context //nolint:containedctx // lives for one call of Delta
	flat, to      *places
	users, groups uint32 // ids that there are, from 0 on

	files map[uint64]*names // with several names, by the inode of the flat tree
	dirs  []string          // that were made; they get their times at the end
	stats Stats
}

// names are those of one file that are in the delta.
type names struct {
	first string // one of them
	count int64
	all   int64 // how many there are in the flat tree
}

// line takes one entry over.
func (d *delta) line(o Owner) error {
	if err := d.ctx.Err(); err != nil {
		return context.Cause(d.ctx)
	}
	if o.UID == 0 && o.GID == 0 || o.Path == "." {
		return nil // the root of the container is its upper's
	}
	path, err := o.place()
	if err != nil {
		return err
	}
	dir, base := split(path)
	from, err := d.flat.open(dir)
	if err == nil {
		var st unix.Stat_t
		if st, err = sys.StatAt(from, base); err == nil {
			return d.entry(o, path, st)
		}
	}
	if replaced(err) {
		return nil
	}
	return err
}

// replaced recognises a path of which a later entry of the archive has taken a part away, or turned it into something else.
func replaced(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

func (d *delta) entry(o Owner, path string, st unix.Stat_t) error {
	if o.Device != "" || st.Mode&unix.S_IFMT == unix.S_IFCHR {
		return nil // left out, or a whiteout
	}
	if err := d.check(o); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		_, err := d.directory(path)
		return err
	}
	return d.take(path, st)
}

// check finds out whether there is such a user and such a group.
func (d *delta) check(o Owner) error {
	for _, id := range []struct {
		id   int
		span uint32
		kind string
	}{{o.UID, d.users, host.Users}, {o.GID, d.groups, host.Groups}} {
		switch {
		case id.id < 0 || int64(id.id) >= math.MaxUint32:
			return fmt.Errorf("%w: %.300q belongs to %d, which is no id", ErrLayer, o.path(), id.id)
		case uint32(id.id) >= id.span:
			return &host.RangeError{What: fmt.Sprintf("the image's /%.300s", strconv.QuoteToGraphic(o.path())), ID: uint32(id.id), Span: id.span, Kind: id.kind}
		}
	}
	return nil
}

// directory opens a directory of the delta, and makes it with what is missing above it.
func (d *delta) directory(path string) (fd int, err error) {
	if fd, err := d.to.open(path); !errors.Is(err, fs.ErrNotExist) {
		return fd, err
	}
	dir, base := split(path)
	parent, err := d.directory(dir)
	if err != nil {
		return -1, err
	}
	if err := fsx.Step("mkdir", base); err != nil {
		return -1, err
	}
	if err := sys.MkdirAt(parent, base, 0o700); err != nil {
		return -1, err
	}
	d.dirs = append(d.dirs, path)
	d.stats.Entries++
	return d.to.open(path)
}

// take makes the entry of a path, which is no directory, unless it is there.
func (d *delta) take(path string, st unix.Stat_t) error {
	dir, base := split(path)
	parent, err := d.directory(dir)
	if err != nil {
		return err
	}
	if _, err := sys.StatAt(parent, base); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	kind := st.Mode & unix.S_IFMT
	if known := d.files[st.Ino]; known != nil && kind == unix.S_IFREG {
		return d.link(known, path)
	}
	from, err := d.flat.open(dir)
	if err != nil {
		return err
	}
	d.stats.Entries++
	switch kind {
	case unix.S_IFREG:
		d.stats.Bytes += st.Size
		if st.Nlink > 1 {
			d.files[st.Ino] = &names{first: path, count: 1, all: int64(st.Nlink)}
		}
		return copyFile(d.ctx, from, parent, base, st)
	case unix.S_IFLNK:
		text, err := sys.ReadlinkAt(from, base)
		if err != nil {
			return err
		}
		if err := symlink(text, parent, base); err != nil {
			return err
		}
		return setTimeAt(parent, base, mtime(st))
	case unix.S_IFIFO:
		if err := mkfifo(parent, base, 0o600); err != nil {
			return err
		}
		return setTimeAt(parent, base, mtime(st))
	}
	return fmt.Errorf("%w: %.300q is of no kind that a layer has", ErrLayer, path)
}

// link gives a file of the delta another name.
func (d *delta) link(known *names, path string) (err error) {
	fromDir, fromBase := split(known.first)
	from, err := sys.OpenDeep(d.to.root, fromDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(from)) }()
	dir, base := split(path)
	parent, err := d.directory(dir)
	if err != nil {
		return err
	}
	known.count++
	return link(from, fromBase, parent, base)
}

// completeLinks looks for names of files that are in the delta under other names only: a name for which the archive says
// nothing but 0:0 has no line.
func (d *delta) completeLinks() error {
	for _, known := range d.files {
		if known.count < known.all {
			return d.searchLinks("")
		}
	}
	return nil
}

func (d *delta) searchLinks(path string) error {
	fd, err := sys.OpenDeep(d.flat.root, path)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), path)
	entries, err := dir.ReadDir(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, e := range entries {
		below := join(path, e.Name())
		switch {
		case d.ctx.Err() != nil:
			return context.Cause(d.ctx)
		case e.IsDir():
			err = d.searchLinks(below)
		case e.Type().IsRegular():
			err = d.searchLink(path, e.Name())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *delta) searchLink(dir, base string) error {
	from, err := d.flat.open(dir)
	if err != nil {
		return err
	}
	st, err := sys.StatAt(from, base)
	if err != nil || d.files[st.Ino] == nil {
		return err
	}
	return d.take(join(dir, base), st)
}

// finish makes the directories what they are in the flat tree: what is made in one changes its time.
func (d *delta) finish() error {
	for _, path := range append(d.dirs, "") {
		from, err := d.flat.open(path)
		if err != nil {
			return err
		}
		to, err := d.to.open(path)
		if err != nil {
			return err
		}
		st, err := sys.Stat(from, path)
		if err != nil {
			return err
		}
		if err := copyFacts(from, to, path, st, st.Mode&0o7777); err != nil {
			return err
		}
	}
	return nil
}

// places are the directories of a tree, of which the last one that was asked for is open.
type places struct {
	root, last int // last is -1 where none is
	path       string
}

func openPlaces(dir string) (*places, error) {
	root, err := sys.OpenDir(dir)
	return &places{root: root, last: -1}, err
}

// open opens a directory by where it really is. It stays open until the next call.
func (p *places) open(path string) (fd int, err error) {
	if path == "" {
		return p.root, nil
	}
	if p.last >= 0 && p.path == path {
		return p.last, nil
	}
	fd, err = sys.OpenDeep(p.root, path)
	if err != nil {
		return -1, err
	}
	old := p.last
	p.last, p.path = fd, path
	if old >= 0 {
		err = sys.Close(old)
	}
	return fd, err
}

func (p *places) close() error {
	var err error
	if p.last >= 0 {
		err = sys.Close(p.last)
	}
	return errors.Join(err, sys.Close(p.root))
}
