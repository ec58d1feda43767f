package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// sparseRecord marks a file of a stream that had holes.
const sparseRecord = "CORACLE.sparse"

// Source is what is copied.
type Source struct {
	Tree
	Path   string // of the file or directory; in a tree that is no root it is what FD is, and this is only what it is called
	As     string // its name in the stream; "" for a directory of which the content alone is wanted
	Follow bool   // a link at the end of Path

	OneUser bool              // all files are to be root's, because none belongs to anybody else
	Avoid   []Spot            // directories, and names in them, that are left out
	Notice  func(text string) // is told what is left out; nil: nobody is
	Content *int64            // has added to it how much content files had; nil: nobody counts
}

func (s Source) notice(text string) {
	if s.Notice != nil {
		s.Notice(text)
	}
}

// Write writes a stream with all that the source has.
func (s Source) Write(ctx context.Context, out io.Writer) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading %s: %w", s.Path, err)
		}
	}()
	place, err := s.first()
	if err != nil {
		return errnoOf(err)
	}
	defer func() { err = errors.Join(err, sys.Close(place)) }()
	w := walk{Source: s, ctx: ctx, tar: tar.NewWriter(patient{ctx: ctx, out: out}), links: map[inode]string{}}
	if err := w.entry(place, s.As, true); err != nil {
		return err
	}
	return w.tar.Close()
}

func (s Source) first() (int, error) {
	flags := unix.O_PATH
	if !s.Follow {
		flags |= unix.O_NOFOLLOW
	}
	if s.Root {
		return sys.OpenInRoot(s.FD, s.Path, flags, 0)
	}
	return unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
}

type inode struct{ device, number uint64 }

// walk is one call of Write.
type walk struct {
	Source
	ctx   context.Context //nolint:containedctx // of the call
	tar   *tar.Writer
	links map[inode]string // files with several names, by the first

	device uint64 // of the last file system that was looked at, which is a real one
}

// entry writes what is held as a place. What cannot be copied is left out, unless it is all that was asked for.
func (w *walk) entry(place int, name string, all bool) error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	st, err := sys.Stat(place, name)
	if err != nil {
		return err
	}
	if name == "" && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	if err := w.copies(place, st); err != nil {
		if all || !errors.Is(err, ErrDevice) && !errors.Is(err, ErrKernel) && !errors.Is(err, ErrItself) {
			return err
		}
		w.notice(name + " is left out: " + err.Error())
		return nil
	}
	h := w.header(st, name)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return w.directory(place, h)
	case unix.S_IFREG:
		return w.file(place, st, h)
	case unix.S_IFLNK:
		if h.Linkname, err = sys.ReadlinkAt(place, ""); err != nil {
			return err
		}
		h.Typeflag = tar.TypeSymlink
		return w.tar.WriteHeader(h)
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
		return w.tar.WriteHeader(h)
	}
	return nil
}

// copies returns why something is not copied.
func (w *walk) copies(place int, st unix.Stat_t) error {
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFCHR || kind == unix.S_IFBLK || kind == unix.S_IFSOCK {
		return ErrDevice
	}
	if kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return nil
	}
	if itself, _ := w.avoided(st); kind == unix.S_IFDIR && itself {
		return ErrItself
	}
	if st.Dev == w.device {
		return nil
	}
	kernels, err := madeUp(place)
	if err != nil {
		return fmt.Errorf("fstatfs: %w", err)
	}
	if kernels {
		return ErrKernel
	}
	w.device = st.Dev
	return nil
}

func (w *walk) header(st unix.Stat_t, name string) *tar.Header {
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), Format: tar.FormatPAX, ModTime: time.Unix(st.Mtim.Unix()),
	}
	if w.OneUser {
		h.Uid, h.Gid = 0, 0
	}
	return h
}

// directory writes a directory with all that is in it, by names in order.
func (w *walk) directory(place int, h *tar.Header) (err error) {
	dir, err := again(place, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, errnoOf(err))
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	as := h.Name
	h.Typeflag, h.Name = tar.TypeDir, path.Join(".", as)+"/"
	if err := w.xattrs(int(dir.Fd()), h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	st, err := sys.Stat(place, as)
	if err != nil {
		return err
	}
	_, avoided := w.avoided(st)
	slices.Sort(names)
	for _, name := range names {
		if slices.Contains(avoided, name) {
			w.notice(path.Join(as, name) + " is left out: " + ErrItself.Error())
			continue
		}
		child, err := placeAt(int(dir.Fd()), name)
		if errors.Is(err, unix.ENOENT) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path.Join(as, name), err)
		}
		if err := errors.Join(w.entry(child, path.Join(as, name), false), sys.Close(child)); err != nil {
			return err
		}
	}
	return nil
}

// file writes a regular file, or that it is another name of one that was written.
func (w *walk) file(place int, st unix.Stat_t, h *tar.Header) (err error) {
	if first, ok := w.links[inode{st.Dev, st.Ino}]; ok {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return w.tar.WriteHeader(h)
	}
	if st.Nlink > 1 {
		w.links[inode{st.Dev, st.Ino}] = h.Name
	}
	f, err := again(place, unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h.Typeflag, h.Size = tar.TypeReg, st.Size
	const block = 512 // of st_blocks (inode(7))
	if st.Blocks*block < st.Size {
		h.PAXRecords = map[string]string{sparseRecord: "1"}
	}
	if err := w.xattrs(int(f.Fd()), h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	return w.content(f, h)
}

// content writes as much of a file as its header says, whatever becomes of the file meanwhile.
func (w *walk) content(f *os.File, h *tar.Header) error {
	n, err := io.Copy(w.tar, io.LimitReader(f, h.Size))
	if w.Content != nil {
		*w.Content += n
	}
	if err != nil {
		return fmt.Errorf("%s: %w", h.Name, errnoOf(err))
	}
	if n < h.Size {
		w.notice(h.Name + " became shorter while it was read; it ends with zeros")
		_, err = io.Copy(w.tar, io.LimitReader(zeros{}, h.Size-n))
	}
	return err
}

// zeros is a reader of nothing else.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
