package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Waste is what of one layer nobody can see, because layers above it have other files of those names, or take them away.
type Waste struct {
	Files int64 // names that are not directories
	Bytes int64 // of their content; a file with several names counts once they are all hidden
}

// Hidden finds the waste of each of an image's layers, which are given by the directories that Layer made of them, the
// lowest first, as a manifest lists them. It sees them as overlayfs does: a name that is no directory, or a whiteout, hides
// that name below, and an opaque directory what is in it below. Nothing is followed and nothing is changed. What only one
// layer has is not looked into.
func Hidden(ctx context.Context, trees []string) (_ []Waste, err error) {
	w := waster{waste: make([]Waste, len(trees)), links: make([]map[uint64]uint64, len(trees))}
	defer func() {
		for _, fd := range w.roots {
			err = errors.Join(err, sys.Close(fd))
		}
	}()
	all := stack{}
	for i, tree := range trees {
		fd, err := sys.OpenDir(tree)
		if err != nil {
			return nil, fmt.Errorf("looking for what layers hide: %w", err)
		}
		w.roots = append(w.roots, fd)
		all.sheets = append(all.sheets, sheet{layer: len(trees) - 1 - i})
	}
	for todo := []stack{all}; len(todo) > 0; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		last := len(todo) - 1
		below, err := w.look(todo[last])
		if err != nil {
			return nil, fmt.Errorf("looking for what layers hide: %w", err)
		}
		todo = append(todo[:last], below...)
	}
	return w.waste, nil
}

// stack is one directory and the layers that have it, the uppermost first.
type stack struct {
	path   string
	sheets []sheet
}

// sheet is one layer's part of a directory.
type sheet struct {
	layer  int
	hidden bool // by a layer above
}

// matters reports whether something in the directory can be hidden.
func (s stack) matters() bool { return len(s.sheets) > 1 || len(s.sheets) == 1 && s.sheets[0].hidden }

// waster counts.
type waster struct {
	roots []int
	waste []Waste
	links []map[uint64]uint64 // by layer and inode: names that are hidden of a file that has several
}

// look counts what is hidden in one directory, and returns the directories in it that matter.
func (w *waster) look(dir stack) ([]stack, error) {
	type child struct {
		sheets []sheet
		ends   bool // something other than a directory hides what is further below
	}
	children := map[string]*child{}
	opaque := false
	for _, s := range dir.sheets {
		hidden := s.hidden || opaque
		ends, err := w.list(s.layer, dir.path, func(name string, st unix.Stat_t) {
			c := children[name]
			if c == nil {
				c = &child{}
				children[name] = c
			}
			gone := hidden || c.ends
			if st.Mode&unix.S_IFMT == unix.S_IFDIR {
				c.sheets = append(c.sheets, sheet{layer: s.layer, hidden: gone})
				return
			}
			if gone || len(c.sheets) > 0 {
				w.count(s.layer, st)
			}
			c.ends = c.ends || !gone
		})
		if err != nil {
			return nil, err
		}
		opaque = hidden || ends
	}
	var below []stack
	for name, c := range children {
		if s := (stack{path: join(dir.path, name), sheets: c.sheets}); s.matters() {
			below = append(below, s)
		}
	}
	return below, nil
}

// list calls f for each name in a layer's directory, and reports whether the directory is opaque.
func (w *waster) list(layer int, path string, f func(name string, st unix.Stat_t)) (opaque bool, err error) {
	fd, err := sys.OpenDeep(w.roots[layer], path)
	if err != nil {
		return false, err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, dir.Close()) }()
	for {
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			st, err := sys.StatAt(fd, name)
			if err != nil {
				return false, err
			}
			f(name, st)
		}
		if errors.Is(err, io.EOF) {
			return isOpaque(fd, path)
		}
		if err != nil {
			return false, err
		}
	}
}

// count adds a hidden file.
func (w *waster) count(layer int, st unix.Stat_t) {
	if isWhiteout(st) {
		return
	}
	w.waste[layer].Files++
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	if st.Nlink > 1 {
		if w.links[layer] == nil {
			w.links[layer] = map[uint64]uint64{}
		}
		w.links[layer][st.Ino]++
		if w.links[layer][st.Ino] < uint64(st.Nlink) { //nolint:unconvert // 32 bits on arm64
			return
		}
	}
	w.waste[layer].Bytes += st.Size
}

// isOpaque reports whether an open directory hides what is in it in lower layers.
func isOpaque(fd int, path string) (bool, error) {
	value, err := sys.Xattr(fd, path, sys.OverlayOpaque, 1)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ERANGE) {
		return false, nil
	}
	return string(value) == "y", err
}
