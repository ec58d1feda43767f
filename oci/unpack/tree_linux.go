package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

const (
	maxOpen  = 64 // directories that are kept open; fewer where descriptors are scarce
	maxLinks = 40 // symbolic links on one path, as the kernel's MAXSYMLINKS

	implicit = 0o755 // the mode of a directory the archive uses but does not name
)

// place is an open directory of the layer.
type place struct {
	fd     int
	path   string  // from the root, without links: where it really is
	writer *writer // that makes its small files
}

// tree finds and makes the directories of a layer. All its paths are clean (cleanName). The places it gives stay open until
// sweep is called.
//
// Small files come into being some time after their entries were read: see crew. Directories and links never do.
type tree struct {
	root  *place
	crew  *crew
	names *filter // all that entries of this layer have made, be it still to come

	depth   int               // directories that may be above an entry
	most    int               // directories to keep open
	open    map[string]*place // by the path the archive uses, which may lead through links
	old     []int             // forgotten, but perhaps still in use by the current entry or the crew
	removed bool              // a directory was

	marks marks // of what is hidden in lower layers
}

func newTree(root int, c *crew, depth int) *tree {
	return &tree{
		root: &place{fd: root}, crew: c, names: newFilter(), depth: depth, most: openDirs(), open: map[string]*place{},
		marks: marks{opaque: map[string]struct{}{}},
	}
}

// openDirs is how many directories one layer may keep open: an eighth of what this process may have, for other layers are
// unpacked at the same time.
func openDirs() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return maxOpen
	}
	return int(min(max(limit.Cur/8, 1), maxOpen))
}

// forget drops all directories that are kept. It must be called whenever a directory or a link is removed, for a path may
// lead elsewhere from then on.
func (t *tree) forget() {
	for path, p := range t.open {
		t.old = append(t.old, p.fd)
		delete(t.open, path)
	}
}

// sweep closes what has been forgotten. It is called between entries.
func (t *tree) sweep() error {
	if len(t.old) == 0 {
		return nil
	}
	t.crew.drain()
	var errs []error
	for _, fd := range t.old {
		errs = append(errs, sys.Close(fd))
	}
	t.old = t.old[:0]
	return errors.Join(errs...)
}

func (t *tree) close() error {
	t.forget()
	return t.sweep()
}

// look describes what has a name, when something has. If that may be a file which is still to come, it waits.
func (t *tree) look(here *place, name string) (st unix.Stat_t, there bool, err error) {
	if !t.names.has(here.path, name) {
		return st, false, nil
	}
	st, err = sys.StatAt(here.fd, name)
	if err != nil || !isDirOrLink(st) {
		t.crew.drain()
		st, err = sys.StatAt(here.fd, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return st, false, nil
	}
	return st, err == nil, err
}

// dir opens a directory, and makes it with what is missing above it.
func (t *tree) dir(path string) (*place, error) { return t.get(path, true) }

// existing opens a directory that must be there already.
func (t *tree) existing(path string) (*place, error) { return t.get(path, false) }

func (t *tree) get(path string, create bool) (*place, error) {
	if path == "" {
		return t.root, nil
	}
	if p, ok := t.open[path]; ok {
		return p, nil
	}
	p := &place{path: path}
	var err error
	if p.fd, err = sys.OpenBeneath(t.root.fd, path, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
		if p, err = t.walk(path, create); err != nil {
			return nil, err
		}
	}
	if len(t.open) >= t.most {
		t.forget()
	}
	t.open[path] = p
	return p, nil
}

// walk follows a path component by component as a process would that has the layer as its root: symbolic links may lead
// anywhere inside, ".." in them stops at the root. With create set, what is missing is made, and what is no directory gives
// way to one.
func (t *tree) walk(path string, create bool) (_ *place, err error) {
	here, err := t.reopen("")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.Close(here.fd))
		}
	}()
	ahead := strings.Split(path, "/")
	for links := 0; len(ahead) > 0; {
		name := ahead[0]
		ahead = ahead[1:]
		if name == "" || name == "." {
			continue
		}
		if name == ".." {
			up, _ := split(here.path)
			if here, err = t.move(here, up); err != nil {
				return nil, err
			}
			continue
		}
		target, err := t.step(here, name, create)
		if err != nil {
			return nil, err
		}
		if target == "" {
			if here, err = t.enter(here, name); err != nil {
				return nil, err
			}
			// Links that lead to links make trees that are deeper than any name.
			if strings.Count(here.path, "/") >= t.depth {
				return nil, fmt.Errorf("%w: more than %d directories deep", ErrLimit, t.depth)
			}
			continue
		}
		if links++; links > maxLinks {
			return nil, fmt.Errorf("%w: too many symbolic links in a path", ErrLayer)
		}
		if target[0] == '/' {
			if here, err = t.move(here, ""); err != nil {
				return nil, err
			}
		}
		ahead = append(strings.Split(target, "/"), ahead...)
	}
	return here, nil
}

// step looks at one component: the text of a symbolic link, or "" for a directory, which is made if need be.
func (t *tree) step(here *place, name string, create bool) (target string, err error) {
	st, there, err := t.look(here, name)
	switch {
	case err != nil:
		return "", err
	case !there && create && strings.HasPrefix(name, whiteoutPrefix):
		return "", fmt.Errorf("%w: a link to a whiteout", ErrLayer)
	case !there && create:
		return "", t.mkdir(here, name, implicit)
	case !there:
		return "", &fs.PathError{Op: "open", Path: name, Err: unix.ENOENT}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "", nil
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return sys.ReadlinkAt(here.fd, name)
	case !create:
		return "", &fs.PathError{Op: "open", Path: name, Err: unix.ENOTDIR}
	}
	// The archive goes on below a name that it has used for something else: the last one wins. What that hid stays hidden.
	if err := unlink(here.fd, name); err != nil {
		return "", err
	}
	if err := t.mkdir(here, name, implicit); err != nil {
		return "", err
	}
	return "", t.hideBelow(here, name)
}

// reopen opens a directory anew by where it really is. Links in a layer can lead to directories whose path is longer than the
// kernel takes at once.
func (t *tree) reopen(path string) (*place, error) {
	fd, err := sys.OpenDeep(t.root.fd, path)
	return &place{fd: fd, path: path}, err
}

// move goes to another directory. On an error here stays open and is returned.
func (t *tree) move(here *place, path string) (*place, error) {
	next, err := t.reopen(path)
	if err != nil {
		return here, err
	}
	return next, sys.Close(here.fd)
}

// enter goes to a child directory. On an error here stays open and is returned.
func (t *tree) enter(here *place, name string) (*place, error) {
	fd, err := sys.OpenDirAt(here.fd, name)
	if err != nil {
		return here, err
	}
	return &place{fd: fd, path: join(here.path, name)}, sys.Close(here.fd)
}

// mkdir makes a directory with exactly this mode.
func (t *tree) mkdir(here *place, name string, mode uint32) error {
	if err := fsx.Step("mkdir", name); err != nil {
		return err
	}
	if err := sys.MkdirAt(here.fd, name, mode); err != nil {
		return err
	}
	t.names.add(here.path, name)
	if mode&umask() == 0 {
		return nil
	}
	return t.with(here, name, func(fd int) error { return chmod(fd, name, mode) })
}

// hideBelow makes a directory opaque: what lower layers have in it is not seen.
func (t *tree) hideBelow(here *place, name string) error {
	return t.with(here, name, func(fd int) error { return t.hide(fd, join(here.path, name)) })
}

// with calls f with the open child directory name.
func (t *tree) with(here *place, name string, f func(fd int) error) (err error) {
	fd, err := sys.OpenDirAt(here.fd, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	return f(fd)
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// isWhiteout recognises a whiteout; no other character device is ever made.
func isWhiteout(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func isDirOrLink(st unix.Stat_t) bool {
	kind := st.Mode & unix.S_IFMT
	return kind == unix.S_IFDIR || kind == unix.S_IFLNK
}
