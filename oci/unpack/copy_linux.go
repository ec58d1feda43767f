package unpack

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// copyFile copies a regular file of one directory to another, with mode, time and attributes. Where the file system can, both
// share their blocks; holes stay holes.
func copyFile(ctx context.Context, from, to int, base string, st unix.Stat_t) (err error) {
	in, err := sys.OpenBeneath(from, base, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(in)) }()
	if err := fsx.Step("create", base); err != nil {
		return err
	}
	out, err := sys.CreateAt(to, base, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(out)) }()
	if err := copyContent(ctx, in, out, base, st.Size); err != nil {
		return err
	}
	return copyFacts(in, out, base, st, st.Mode&0o777)
}

// copyFacts copies what a file or a directory has beside its content.
func copyFacts(in, out int, name string, st unix.Stat_t, mode uint32) error {
	if err := copyXattrs(in, out, name); err != nil {
		return err
	}
	if err := chmod(out, name, mode); err != nil {
		return err
	}
	return setTime(out, name, mtime(st))
}

// copyContent shares the blocks of a file, or copies them.
func copyContent(ctx context.Context, in, out int, name string, size int64) error {
	if err := fsx.Step("write", name); err != nil {
		return err
	}
	if unix.IoctlFileClone(out, in) == nil {
		return nil
	}
	return copyData(ctx, in, out, name, size)
}

// copyData copies what a file has content of.
func copyData(ctx context.Context, in, out int, name string, size int64) error {
	if err := fsx.Step("truncate", name); err != nil {
		return err
	}
	if err := sys.Truncate(out, name, size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		from, err := unix.Seek(in, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // nothing but a hole is left
		}
		to := size
		if err != nil {
			from = at // the file system does not tell
		} else if hole, err := unix.Seek(in, from, unix.SEEK_HOLE); err == nil {
			to = min(hole, size)
		}
		if err := copyRange(ctx, in, out, name, from, to); err != nil {
			return err
		}
		at = max(to, at+1)
	}
	return nil
}

// copyStep bounds how much is copied between two looks at the context.
const copyStep = 64 << 20

func copyRange(ctx context.Context, in, out int, name string, from, to int64) error {
	for buf := []byte(nil); from < to; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		read, wrote := from, from
		n, err := unix.CopyFileRange(in, &read, out, &wrote, int(min(to-from, copyStep)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) { // the file system, or the kernel, cannot
			if buf == nil {
				buf = make([]byte, copySize)
			}
			if n, err = unix.Pread(in, buf[:min(to-from, copySize)], from); err == nil {
				err = sys.WriteAt(out, name, from, buf[:n])
			}
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// copyXattrs copies the attributes that an image may set.
func copyXattrs(in, out int, name string) error {
	list, err := sys.Xattrs(in, name)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, attribute := range list {
		if !strings.HasPrefix(attribute, userXattrs) || strings.HasPrefix(attribute, overlayXattrs) {
			continue
		}
		value, err := sys.Xattr(in, name, attribute, maxXattrValue)
		if err == nil {
			err = setXattr(out, name, attribute, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mtime(st unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }
