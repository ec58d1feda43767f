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
// bounded by Limits, and memory does not grow with them.
package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"

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
}

// Stats says what a layer held.
type Stats struct {
	Entries   int64 // of the archive
	Bytes     int64 // of file content
	Whiteouts int64 // opaque markers included
	Dropped   int64 // device nodes and extended attributes that were left out
}

// Layer unpacks the tar stream r into the empty directory dir, which the caller owns, and reads r to its end. When it
// returns an error the tree is of no use. Errors are ErrEscape, ErrLayer and ErrLimit for what an archive must not do, and
// those of r, ctx and the file system.
func Layer(ctx context.Context, r io.Reader, dir string, opts Options) (stats Stats, err error) {
	root, err := sys.OpenDir(dir)
	if err != nil {
		return Stats{}, fmt.Errorf("unpacking a layer: %w", err)
	}
	defer func() { err = errors.Join(err, sys.Close(root)) }()
	limits := opts.Limits.orDefault()
	u := &unpacker{
		tree:   newTree(root),
		limits: limits,
		owners: newOwners(opts.Owners),
		buf:    make([]byte, copySize),
	}
	defer func() { err = errors.Join(err, u.tree.close()) }()
	in := &meter{ctx: ctx, r: r, left: limits.Bytes}
	if err := u.all(ctx, tar.NewReader(in)); err != nil {
		return u.stats, err
	}
	if _, err := io.CopyBuffer(io.Discard, in, u.buf); err != nil {
		return u.stats, fmt.Errorf("reading the end of a layer: %w", err)
	}
	return u.stats, u.finish()
}

// copySize is how much file content is moved at a time.
const copySize = 256 << 10

// meter ends a stream that is longer than it may be, or whose reader has been told to stop.
type meter struct {
	ctx  context.Context //nolint:containedctx // lives for one call of Layer
	r    io.Reader
	left int64
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, context.Cause(m.ctx)
	}
	if m.left <= 0 {
		// Exactly at the limit is allowed when nothing follows.
		var one [1]byte
		n, err := m.r.Read(one[:])
		if n > 0 {
			return 0, fmt.Errorf("%w: the layer's stream is too long", ErrLimit)
		}
		return 0, err
	}
	n, err := m.r.Read(p[:min(int64(len(p)), m.left)])
	m.left -= int64(n)
	return n, err
}
