package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

const (
	// maxWindow is the memory one zstd stream may ask for, as for layers.
	maxWindow = 128 << 20
	// keepFree is what is left of the disk that an archive is copied to: 10 MiB can say they are 10 GiB.
	keepFree = 256 << 20
	// maxTail is what may follow the end of an archive: tar pads to whole records.
	maxTail = 1 << 20
)

type packing struct {
	magic string
	open  func(io.Reader) (io.Reader, error)
}

// packings are how archives are compressed as a whole, by their first bytes.
var packings = []packing{
	{"\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	}},
	{"BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"\xfd7zXZ\x00", func(io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("%w: it is compressed with xz; 'xz -dc FILE | coracle load' reads it", ErrArchive)
	}},
}

// unpacked finds out whether an archive is compressed as a whole, and undoes it.
func unpacked(r io.Reader) (_ io.Reader, packed bool, err error) {
	buffered := bufio.NewReaderSize(r, 1<<20)
	head, err := buffered.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("reading the archive: %w", err)
	}
	for _, p := range packings {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			inner, err := p.open(buffered)
			if err != nil && !errors.Is(err, ErrArchive) {
				err = damaged("%w", err)
			}
			return inner, true, err
		}
	}
	return buffered, false, nil
}

// spool copies what cannot be read in any order to a file without a name, and lists it on the way. It stops where the archive
// ends, and drains what a pipe's writer still has to say.
func spool(ctx context.Context, r io.Reader, scratch func() (*os.File, error)) (_ *tarball, err error) {
	if scratch == nil {
		return nil, damaged("it is compressed as a whole")
	}
	f, err := scratch()
	if err != nil {
		return nil, fmt.Errorf("making room for the archive: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	c := &copier{ctx: ctx, from: r, to: f}
	t, err := list(ctx, c, func() int64 { return c.done }, func() int64 { return 1 << 62 })
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, maxTail); err != nil && !errors.Is(err, io.EOF) {
		return nil, damaged("what follows its end: %w", err)
	}
	t.data = f
	return t, nil
}

// copier writes what is read through it to a file, and leaves some of the disk to others.
type copier struct {
	ctx  context.Context //nolint:containedctx // of one copy
	from io.Reader
	to   *os.File

	done, checked int64
}

// Read implements io.Reader.
func (c *copier) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	if err := c.room(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := c.from.Read(p)
	if n > 0 {
		if _, err := c.to.Write(p[:n]); err != nil {
			return 0, fmt.Errorf("copying the archive to the store's disk: %w", err)
		}
		c.done += int64(n)
	}
	if _, ofFile := errors.AsType[*fs.PathError](err); err != nil && !ofFile && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = damaged("%w", err) // what it is compressed with says so
	}
	return n, err
}

// room looks at the disk every few megabytes.
func (c *copier) room(n int64) error {
	const often = 32 << 20
	if c.checked > 0 && c.done+n < c.checked+often {
		return nil
	}
	c.checked = max(c.done, 1)
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(c.to.Fd()), &st); err != nil {
		return fmt.Errorf("looking at the free space: %w", err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < keepFree {
		return fmt.Errorf("copying the archive to the store's disk after %d bytes: %w", c.done, unix.ENOSPC)
	}
	return nil
}
