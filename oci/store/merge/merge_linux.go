package merge

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/undo"
)

// Layers fills the empty directory into with what the trees layers hold, above the trees below. All are directories, the lowest
// first, each there once. It returns the number of links and directories. Nothing outside of into is changed, but for the links' targets,
// which have one name more each. No link is followed.
func Layers(ctx context.Context, below, layers []string, into string) (entries int, err error) {
	m := &merger{ctx: ctx}
	var open undo.Stack
	defer func() { err = errors.Join(err, open.Run()) }()
	root := func(dir string) (int, error) {
		fd, err := sys.OpenDir(dir)
		if err == nil {
			open.Add(func() error { return sys.Close(fd) })
		}
		return fd, err
	}
	for _, dir := range slices.Concat(below, layers) {
		fd, err := root(dir)
		if err != nil {
			return 0, err
		}
		m.roots = append(m.roots, fd)
	}
	if m.into, err = root(into); err != nil {
		return 0, err
	}
	todo := []place{{layers: downFrom(len(m.roots)-1, len(below)), below: downFrom(len(below)-1, 0)}}
	for len(todo) > 0 {
		last := len(todo) - 1
		inside, err := m.directory(todo[last])
		if err != nil {
			return m.entries, err
		}
		todo = append(todo[:last], inside...)
	}
	return m.entries, m.finish()
}

func downFrom(high, low int) (all []int) {
	for n := high; n >= low; n-- {
		all = append(all, n)
	}
	return all
}

// place is a directory that some trees have. Those are numbers of roots, the uppermost first.
type place struct {
	path   string
	layers []int
	below  []int // that show theirs through the layers' directory, up to the first that ends it
	ends   bool  // a layer says that what the trees below have of it is hidden
}

// merger is one call of Layers.
type merger struct {
	ctx   context.Context //nolint:containedctx // lives for one call of Layers
	roots []int
	into  int
	made  []place // the directories of the tree

	entries, looks int
}

// entry is what is known of a name while the layers are listed from the uppermost down.
type entry struct {
	dirs  []int // layers with a directory of this name
	ended bool  // whatever lower ones say of it is hidden
}

// directory makes the entries of one directory, and returns the directories among them.
func (m *merger) directory(at place) (inside []place, err error) {
	var open undo.Stack
	defer func() { err = errors.Join(err, open.Run()) }()
	to, err := m.open(&open, m.into, at.path)
	if err != nil {
		return nil, err
	}
	layers, opaque, err := m.sheets(&open, at.path, at.layers)
	if err != nil {
		return nil, err
	}
	m.made = append(m.made, at)
	var below []sheet
	if at.ends = at.ends || opaque; at.ends {
		if err := setXattr(to, at.path, sys.OverlayOpaque, []byte("y")); err != nil {
			return nil, err
		}
	} else if below, _, err = m.sheets(&open, at.path, at.below); err != nil {
		return nil, err
	}
	names := map[string]*entry{}
	for _, layer := range layers {
		if err := m.layer(layer, to, below, names); err != nil {
			return nil, err
		}
	}
	for name, e := range names {
		if e.dirs == nil {
			continue
		}
		next := place{path: path.Join(at.path, name), layers: e.dirs, ends: e.ended}
		if !e.ended {
			if next.below, err = m.lower(below, name); err != nil {
				return nil, err
			}
		}
		inside = append(inside, next)
	}
	slices.SortFunc(inside, func(a, b place) int { return strings.Compare(b.path, a.path) })
	for _, next := range inside {
		if err := m.count(); err != nil {
			return nil, err
		}
		if err := mkdir(to, path.Base(next.path)); err != nil {
			return nil, err
		}
	}
	return inside, nil
}

// sheet is an open directory of one tree.
type sheet struct{ tree, fd int }

// open opens a directory for as long as the stack is not run.
func (m *merger) open(open *undo.Stack, root int, path string) (fd int, err error) {
	fd, err = sys.OpenDeep(root, path)
	if err == nil {
		open.Add(func() error { return sys.Close(fd) })
	}
	return fd, err
}

// sheets opens a directory in trees, down to the first in which it hides what is below.
func (m *merger) sheets(open *undo.Stack, path string, trees []int) (sheets []sheet, opaque bool, err error) {
	for _, tree := range trees {
		fd, err := m.open(open, m.roots[tree], path)
		if err != nil {
			return nil, false, err
		}
		sheets = append(sheets, sheet{tree, fd})
		if opaque, err := isOpaque(fd, path); opaque || err != nil {
			return sheets, opaque, err
		}
	}
	return sheets, false, nil
}

// layer takes over what one layer has in a directory, and layers above it do not hide.
func (m *merger) layer(from sheet, to int, below []sheet, names map[string]*entry) error {
	list, err := readNames(from.fd)
	if err != nil {
		return err
	}
	for _, name := range list {
		e := names[name]
		if e == nil {
			e = &entry{}
			names[name] = e
		}
		if e.ended {
			continue
		}
		st, err := m.look(from.fd, name)
		if err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			e.dirs = append(e.dirs, from.tree) // that one may be opaque shows when it is opened
			continue
		}
		e.ended = true
		if e.dirs != nil || isWhiteout(st) && below == nil {
			continue
		}
		if err := m.count(); err != nil {
			return err
		}
		if err := link(from.fd, name, to); err != nil {
			return err
		}
	}
	return nil
}

// lower are the trees below that have a directory of this name, down to the first that has something else of it. That one of the
// directories may be opaque shows when it is opened.
func (m *merger) lower(below []sheet, name string) (dirs []int, err error) {
	for _, s := range below {
		st, err := m.look(s.fd, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case st.Mode&unix.S_IFMT != unix.S_IFDIR:
			return dirs, nil
		}
		dirs = append(dirs, s.tree)
	}
	return dirs, nil
}

func (m *merger) look(dir int, name string) (unix.Stat_t, error) {
	if m.looks++; m.looks > maxLooks {
		return unix.Stat_t{}, ErrLimit
	}
	return sys.StatAt(dir, name)
}

func (m *merger) count() error {
	if m.entries++; m.entries > maxEntries {
		return ErrLimit
	}
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	return nil
}

// finish makes the directories what the uppermost are: what is made in one changes its date, and its mode may forbid it.
func (m *merger) finish() error {
	for _, at := range slices.Backward(m.made) {
		if err := m.dress(at); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) dress(at place) (err error) {
	var open undo.Stack
	defer func() { err = errors.Join(err, open.Run()) }()
	from, err := m.open(&open, m.roots[at.layers[0]], at.path)
	if err != nil {
		return err
	}
	to, err := m.open(&open, m.into, at.path)
	if err != nil {
		return err
	}
	st, err := sys.Stat(from, at.path)
	if err != nil {
		return err
	}
	if err := copyXattrs(from, to, at.path); err != nil {
		return err
	}
	if err := step("chmod", at.path, func() error { return sys.Chmod(to, at.path, st.Mode&0o7777) }); err != nil {
		return err
	}
	return step("times", at.path, func() error { return sys.SetMtime(to, at.path, mtime(st)) })
}

func readNames(fd int) (names []string, err error) {
	again, err := sys.OpenDirAt(fd, ".")
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), ".")
	names, err = dir.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, dir.Close())
}

func mkdir(dir int, name string) error {
	return step("mkdir", name, func() error { return sys.MkdirAt(dir, name, 0o700) })
}

func link(from int, name string, to int) error {
	return step("link", name, func() error { return sys.LinkAt(from, name, to, name) })
}

func setXattr(fd int, path, name string, value []byte) error {
	return step("xattr", path, func() error { return sys.SetXattr(fd, path, name, value) })
}

// step announces what changes the tree, and does it.
func step(op, path string, do func() error) error {
	if err := fsx.Step(op, path); err != nil {
		return err
	}
	return do()
}
