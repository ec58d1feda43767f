package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// maxTimes bounds the memory for directories whose times are still to be set, in bytes of their paths.
const maxTimes = 64 << 20

var umask = sync.OnceValue(sys.Umask)

// unpacker writes the entries of one archive.
type unpacker struct {
	in     *stream
	tree   *tree
	crew   *crew
	limits Limits
	owners *owners
	stats  Stats
	buf    []byte

	allocates bool // blocks of large files before their content
	progress  func(entries int64)

	times     []dirTime // set at the end, for every entry made in a directory changes its time
	timesSize int
}

type dirTime struct {
	path  string
	mtime time.Time
}

// all reads and writes every entry. The error is that of the first entry that failed, whoever wrote it.
func (u *unpacker) all(ctx context.Context, tr *tar.Reader) error {
	for !u.crew.failed.Load() {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return u.crew.settle(fmt.Errorf("reading a layer: %w", u.in.blame(err)))
		}
		if ctx.Err() != nil {
			break
		}
		if err := u.entry(hdr, tr); err != nil {
			return u.crew.settle(&EntryError{Name: hdr.Name, Err: err})
		}
	}
	return u.crew.settle(nil)
}

// entry writes one entry.
func (u *unpacker) entry(hdr *tar.Header, content io.Reader) error {
	if u.stats.Entries++; u.stats.Entries > u.limits.Entries {
		return fmt.Errorf("%w: more than %d entries", ErrLimit, u.limits.Entries)
	}
	if u.progress != nil && u.stats.Entries%progressStep == 0 {
		u.progress(progressStep)
	}
	if err := u.tree.sweep(); err != nil {
		return err
	}
	if hdr.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := cleanName(hdr.Name, u.limits.Depth)
	if err != nil {
		return err
	}
	kind, hidden, err := classify(name)
	if err != nil {
		return err
	}
	dir, base := split(name)
	switch kind {
	case meta:
		return nil
	case whiteout:
		return u.whiteout(dir, hidden)
	case opaque:
		return u.opaque(dir)
	}
	if name == "" {
		return u.root(hdr)
	}
	parent, err := u.tree.dir(dir)
	if err != nil {
		return err
	}
	return u.make(parent, base, hdr, content)
}

// make creates a plain entry in its open directory.
func (u *unpacker) make(parent *place, base string, hdr *tar.Header, content io.Reader) error {
	switch hdr.Typeflag {
	case tar.TypeDir:
		return u.directory(parent, base, hdr)
	case tar.TypeReg, tar.TypeRegA, tar.TypeCont, tar.TypeGNUSparse: //nolint:staticcheck // old archives have TypeRegA
		return u.file(parent, base, hdr, content)
	case tar.TypeSymlink:
		return u.symlink(parent, base, hdr)
	case tar.TypeLink:
		return u.link(parent, base, hdr)
	case tar.TypeFifo:
		return u.fifo(parent, base, hdr)
	case tar.TypeChar, tar.TypeBlock:
		u.stats.Dropped++
		return u.owners.add(join(parent.path, base), hdr, 0, nil, true)
	}
	return fmt.Errorf("%w: an entry of type %q", ErrLayer, hdr.Typeflag)
}

// directory makes a directory, or changes the one that is there to what the later entry says.
func (u *unpacker) directory(parent *place, base string, hdr *tar.Header) error {
	mode := uint32(hdr.Mode&0o1777) | 0o700
	path := join(parent.path, base)
	st, there, err := u.tree.look(parent, base)
	if err != nil {
		return err
	}
	isDir := there && st.Mode&unix.S_IFMT == unix.S_IFDIR
	if there && !isDir {
		if err := u.remove(parent, base, st); err != nil {
			return err
		}
	}
	if !isDir {
		if err := u.tree.mkdir(parent, base, mode); err != nil {
			return err
		}
	}
	var dropped []string
	if there || len(hdr.PAXRecords) > 0 {
		err := u.tree.with(parent, base, func(fd int) (err error) {
			if err := chmod(fd, base, mode); err != nil {
				return err
			}
			// What a file, a link or a whiteout of that name hid in lower layers stays hidden.
			if there && !isDir {
				if err := u.tree.hide(fd, path); err != nil {
					return err
				}
			}
			dropped, err = u.xattrs(fd, base, hdr)
			return err
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(u.timeLater(path, hdr), u.owners.add(path, hdr, mode, dropped, there))
}

// root takes an entry for the layer's own root directory. It must be a directory: were it a link, everything after it
// would go elsewhere.
func (u *unpacker) root(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return fmt.Errorf("%w: it replaces the root directory", ErrEscape)
	}
	mode := uint32(hdr.Mode&0o1777) | 0o700
	if err := chmod(u.tree.root.fd, ".", mode); err != nil {
		return err
	}
	dropped, err := u.xattrs(u.tree.root.fd, ".", hdr)
	if err != nil {
		return err
	}
	return errors.Join(u.timeLater("", hdr), u.owners.add("", hdr, mode, dropped, false))
}

// symlink makes a symbolic link. Where it leads is of no concern here: nothing follows it but the job.
func (u *unpacker) symlink(parent *place, base string, hdr *tar.Header) error {
	if hdr.Linkname == "" || len(hdr.Linkname) > maxPath {
		return fmt.Errorf("%w: a symbolic link to %d bytes", ErrLayer, len(hdr.Linkname))
	}
	replaced, err := u.create(parent, base, func() error { return symlink(hdr.Linkname, parent.fd, base) })
	if err != nil {
		return err
	}
	if err := setTimeAt(parent.fd, base, hdr.ModTime); err != nil {
		return err
	}
	return u.owners.add(join(parent.path, base), hdr, 0, u.dropXattrs(hdr), replaced)
}

// link makes another name of a file that the layer has. The target's directory may lead through links inside the layer,
// its last component is linked itself, be it a symbolic link.
func (u *unpacker) link(parent *place, base string, hdr *tar.Header) error {
	target, err := cleanName(hdr.Linkname, u.limits.Depth)
	if err != nil {
		return fmt.Errorf("hard link to %.300q: %w", hdr.Linkname, err)
	}
	u.crew.drain()
	dir, last := split(target)
	from, err := u.tree.existing(dir)
	var st unix.Stat_t
	if err == nil {
		st, err = sys.StatAt(from.fd, last)
	}
	if err != nil || isWhiteout(st) || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("%w: a hard link to %.300q, which is no file of this layer", ErrLayer, hdr.Linkname)
	}
	if from.path == parent.path && last == base {
		return fmt.Errorf("%w: a hard link to itself", ErrLayer)
	}
	replaced, err := u.create(parent, base, func() error { return link(from.fd, last, parent.fd, base) })
	if err != nil {
		return err
	}
	return u.owners.add(join(parent.path, base), hdr, st.Mode&0o7777, nil, replaced)
}

// fifo makes a named pipe.
func (u *unpacker) fifo(parent *place, base string, hdr *tar.Header) error {
	mode := uint32(hdr.Mode&0o777) | 0o400
	replaced, err := u.create(parent, base, func() error { return mkfifo(parent.fd, base, mode) })
	if err != nil {
		return err
	}
	if err := setTimeAt(parent.fd, base, hdr.ModTime); err != nil {
		return err
	}
	return u.owners.add(join(parent.path, base), hdr, mode&^umask(), u.dropXattrs(hdr), replaced)
}

// create makes a name with f, which must fail when the name is taken. What has it is removed first: the last one wins.
func (u *unpacker) create(parent *place, base string, f func() error) (replaced bool, err error) {
	st, there, err := u.tree.look(parent, base)
	if err != nil {
		return false, err
	}
	if there {
		if err := u.remove(parent, base, st); err != nil {
			return false, err
		}
	}
	u.tree.names.add(parent.path, base)
	return there, f()
}

// remove takes a name away that a later entry wants.
func (u *unpacker) remove(parent *place, base string, st unix.Stat_t) error {
	if isDirOrLink(st) {
		u.crew.drain() // there may be files to come in it
		u.tree.forget()
		u.tree.removed = true
	}
	if err := fsx.Step("remove", base); err != nil {
		return err
	}
	return fsx.RemoveAllAt(parent.fd, base)
}

// timeLater remembers the time of a directory.
func (u *unpacker) timeLater(path string, hdr *tar.Header) error {
	if u.timesSize += len(path) + 64; u.timesSize > maxTimes {
		return fmt.Errorf("%w: too many directories", ErrLimit)
	}
	u.times = append(u.times, dirTime{path: path, mtime: hdr.ModTime})
	return nil
}

// finish sets the times of directories, the last entry for each one last, and writes out the owners.
func (u *unpacker) finish() error {
	if err := u.dropWhiteouts(); err != nil {
		return fmt.Errorf("removing needless whiteouts: %w", err)
	}
	for _, d := range u.times {
		if err := errors.Join(u.setTime(d), u.tree.sweep()); err != nil {
			return fmt.Errorf("setting the time of a directory: %w", err)
		}
	}
	if u.progress != nil {
		u.progress(u.stats.Entries % progressStep)
	}
	if err := u.owners.flush(); err != nil {
		return fmt.Errorf("writing the owners of a layer: %w", err)
	}
	return nil
}

// setTime sets the time of a directory by its name in the one above, which likely is open: archives go through a tree in
// order. That is right as long as each directory is what it was. Where one has been removed, they are opened one by one,
// and what is none any more is passed over.
func (u *unpacker) setTime(d dirTime) error {
	if d.path == "" {
		return setTime(u.tree.root.fd, ".", d.mtime)
	}
	if !u.tree.removed {
		dir, base := split(d.path)
		parent, err := u.tree.existing(dir)
		if err != nil {
			return err
		}
		return setTimeAt(parent.fd, base, d.mtime)
	}
	p, err := u.tree.reopen(d.path)
	if err != nil {
		return nil //nolint:nilerr // by intent
	}
	return errors.Join(setTime(p.fd, d.path, d.mtime), sys.Close(p.fd))
}
