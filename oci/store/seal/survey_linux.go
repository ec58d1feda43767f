package seal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Options say how close Survey looks. The zero value reads every name and no file.
type Options struct {
	Contents bool                                            // read files, too
	Object   func(path string, st *unix.Stat_t) (why string) // what is wrong with an entry, "" for nothing; may be nil
}

// Survey looks at every entry below the directory root. problems are the first few entries that Options.Object objects to, or
// that cannot be read; an entry that goes meanwhile is an error.
func Survey(ctx context.Context, root string, o Options) (made Seal, problems []string, err error) {
	v := &surveyor{ctx: ctx, options: o, tree: sha256.New(), data: sha256.New()}
	if err := v.survey(root); err != nil {
		return v.seal, nil, err
	}
	v.seal.Tree = digest.NewDigest(digest.SHA256, v.tree)
	if o.Contents {
		v.seal.Contents = digest.NewDigest(digest.SHA256, v.data)
	}
	return v.seal, v.problems, nil
}

// surveyor is one call of Survey. Its order depends on the names alone.
type surveyor struct {
	ctx     context.Context //nolint:containedctx // lives for one call of Survey
	options Options

	seal     Seal
	problems []string
	tree     hash.Hash
	data     hash.Hash
	line     []byte
	buf      []byte
}

// maxProblems bounds how many entries of one tree are complained of.
const maxProblems = 3

func (v *surveyor) survey(dir string) error {
	root, err := sys.OpenDir(dir)
	if err != nil {
		return err
	}
	st, err := sys.Stat(root, filepath.Base(dir))
	if err != nil {
		return errors.Join(err, sys.Close(root))
	}
	v.describe(".", &st, opaque(root, "."))
	return v.directory(root, "")
}

// directory looks at the entries of an open directory, and closes it. Unpacking bounds the depth.
func (v *surveyor) directory(fd int, path string) (err error) {
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := v.ctx.Err(); err != nil {
			return context.Cause(v.ctx)
		}
		if err := v.entry(fd, name, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (v *surveyor) entry(parent int, name, path string) error {
	st, err := sys.StatAt(parent, name)
	if err != nil {
		return err
	}
	v.seal.Entries++
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		fd, err := sys.OpenDirAt(parent, name)
		if err != nil {
			v.describe(path, &st, "")
			v.complain(path, "cannot be read")
			return nil //nolint:nilerr // the problem is told
		}
		v.describe(path, &st, opaque(fd, path))
		return v.directory(fd, path)
	case unix.S_IFLNK:
		target, err := sys.ReadlinkAt(parent, name)
		if err != nil {
			return err
		}
		v.describe(path, &st, target)
		return nil
	case unix.S_IFREG:
		v.seal.Bytes += st.Size
		v.describe(path, &st, "")
		if v.options.Contents {
			return v.read(parent, name, path)
		}
		return nil
	}
	v.describe(path, &st, strconv.FormatUint(st.Rdev, 10))
	return nil
}

// describe adds an entry to the tree's digest. Directories have no date and no size: the one changes when something is made
// and removed again in them, the other is the file system's own.
func (v *surveyor) describe(path string, st *unix.Stat_t, extra string) {
	var size, date int64
	if kind := st.Mode & unix.S_IFMT; kind == unix.S_IFREG || kind == unix.S_IFLNK {
		size, date = st.Size, st.Mtim.Sec
	}
	line := append(v.line[:0], path...)
	line = strconv.AppendUint(append(line, 0), uint64(st.Mode), 8)
	line = strconv.AppendInt(append(line, 0), size, 10)
	line = strconv.AppendInt(append(line, 0), date, 10)
	line = append(append(append(line, 0), extra...), 0, '\n')
	_, _ = v.tree.Write(line) // never fails (hash.Hash)
	v.line = line
	if v.options.Object != nil {
		if why := v.options.Object(path, st); why != "" {
			v.complain(path, why)
		}
	}
}

// opaque is the mark of a directory that hides what layers below have in it, or "".
func opaque(fd int, path string) string {
	const longest = 256
	mark, err := sys.Xattr(fd, path, sys.OverlayOpaque, longest)
	if err != nil {
		return ""
	}
	return string(mark)
}

// read adds the content of a file to the digest of contents. What cannot be read is a problem of the tree.
func (v *surveyor) read(parent int, name, path string) (err error) {
	fd, err := sys.OpenBeneath(parent, name, unix.O_RDONLY, 0)
	if err != nil {
		v.complain(path, "cannot be opened")
		return nil
	}
	f := os.NewFile(uintptr(fd), path)
	defer func() { err = errors.Join(err, f.Close()) }()
	if v.buf == nil {
		v.buf = make([]byte, 1<<20)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{v.data}, struct{ io.Reader }{f}, v.buf)
	if err != nil {
		v.complain(path, "cannot be read: "+err.Error())
		return nil
	}
	_, _ = fmt.Fprintf(v.data, "\x00%d\x00", n) // where one ends and the next begins
	return nil
}

func (v *surveyor) complain(path, why string) {
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, fmt.Sprintf("%q %s", path, why))
	}
}
