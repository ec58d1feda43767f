// Package unpack turns the tar stream of one image layer into a directory tree that overlayfs can stack, without trusting a
// byte of it.
//
// # What is written
//
// Everything belongs to the caller (the id map "flat"): an image's files of whatever owner can be used by a job that runs
// as its caller. Directories get at least mode 0700 and files at least 0400, since the job's "root" has no capability to
// override permissions. Set-user-id, set-group-id and, on files, sticky bits are taken off: a set-user-id file unpacked by
// the caller would be set-user-id the caller. Device nodes are left out, as are extended attributes outside the name
// space "user." and those that steer overlayfs (user.overlay.*). Whiteouts become character devices 0:0, opaque directories
// get user.overlay.opaque=y. What differs from the archive is told, one JSON line for each entry, to Options.Owners: see
// Owner.
//
// # What is safe
//
// No path of the archive is ever resolved by the kernel from the host's root or past a symbolic link: each name is taken
// apart, its directory opened below the layer's root with openat2 (RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS), and the last
// component created exclusively, never opened. A symbolic link in the middle of a path that the same layer made (bin ->
// usr/bin, then bin/ls) is followed by this package as chroot would, inside the root. Names with ".." are refused. Of two
// entries with one name the last wins, with the first removed, never written through. Sizes, counts and depths are
// bounded by Limits, and memory and descriptors do not grow with them.
//
// # How it is done
//
// One goroutine, the caller's, reads the archive and does all there is to decide: it makes directories and links, takes
// away, and writes large files, straight from the memory of a reader that offers Chunks. A small file whose name is new in
// its layer goes to one of several writers, on its directory's open descriptor: nothing later in the archive can depend on
// it unless it uses that name again. A filter of constant size knows which names those may be; before such an entry, before
// a hard link, and before a directory or a link is taken away, the reader waits until the writers are done. So the result
// is that of one entry after the other, whatever the number of writers, the error included: it is that of the first entry
// that fails.
package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"

	"github.com/coracle-run/coracle/internal/sys"
)

// Limits bound what one layer may ask for. Zero means the default.
type Limits struct {
	Bytes   int64 // of the stream, and of the files in it together; 256 GiB
	Entries int64 // 4 million
	Depth   int   // directories above an entry; 512
}

const (
	defaultBytes   = 256 << 30
	defaultEntries = 4_000_000
	defaultDepth   = 512
)

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = defaultBytes
	}
	if l.Entries == 0 {
		l.Entries = defaultEntries
	}
	if l.Depth == 0 {
		l.Depth = defaultDepth
	}
	return l
}

// Options of Layer.
type Options struct {
	Limits Limits
	Owners io.Writer // gets the original owners and modes, one JSON line an entry; nil: not recorded

	// Writers is how many goroutines make small files while the archive is read on; at most 8. 0 means as many as there
	// are CPUs, 1 that the caller's goroutine does everything.
	Writers int
	// Memory bounds the buffers of those goroutines, in bytes; 0 means 8 MiB. Where it does not suffice for so many
	// writers, there are fewer.
	Memory int64

	Progress func(entries int64) // is told now and then that so many more entries have been read; nil: nobody is
}

// progressStep is how many entries make Progress be called.
const progressStep = 64

const defaultMemory = 8 << 20

// crew is how many writers there are to be, and for how many batches there is memory.
func (o Options) crew() (writers, batches int) {
	writers, memory := o.Writers, o.Memory
	if writers == 0 {
		writers = runtime.GOMAXPROCS(0)
	}
	if memory == 0 {
		memory = defaultMemory
	}
	return writers, int(min(memory/batchSize, math.MaxInt32))
}

// Stats says what a layer held.
type Stats struct {
	Entries   int64 // of the archive
	Bytes     int64 // of file content
	Whiteouts int64 // opaque markers included
	Dropped   int64 // device nodes and extended attributes that were left out
}

// Layer unpacks the tar stream r, which may have Chunks, into the empty directory dir, which the caller owns, and reads r to
// its end. When it returns nothing is running any more; when it returns an error the tree is of no use. Errors are ErrEscape, ErrLayer and ErrLimit for what an archive must not do, and
// those of r, ctx and the file system.
func Layer(ctx context.Context, r io.Reader, dir string, opts Options) (stats Stats, err error) {
	root, err := sys.OpenDir(dir)
	if err != nil {
		return Stats{}, fmt.Errorf("unpacking a layer: %w", err)
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	writers, batches := opts.crew()
	c := newCrew(ctx, writers, batches, writeSmall)
	defer c.close()
	limits := opts.Limits.orDefault()
	u := &unpacker{
		in:     newStream(ctx, r, limits.Bytes),
		tree:   newTree(root, c, limits.Depth),
		crew:   c,
		limits: limits,
		owners: newOwners(opts.Owners),
		buf:    make([]byte, copySize),

		allocates: canAllocate(root),
		progress:  opts.Progress,
	}
	defer func() { err = errors.Join(err, u.tree.close()) }()
	if err := u.all(ctx, tar.NewReader(u.in)); err != nil {
		return u.stats, err
	}
	if _, err := io.CopyBuffer(io.Discard, u.in, u.buf); err != nil {
		return u.stats, fmt.Errorf("reading the end of a layer: %w", err)
	}
	return u.stats, u.finish()
}

// copySize is how much file content is moved at a time.
const copySize = 256 << 10
