package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// file makes a regular file, or has it made.
func (u *unpacker) file(parent *place, base string, hdr *tar.Header, content io.Reader) (err error) {
	if hdr.Size > u.limits.Bytes-u.stats.Bytes {
		return fmt.Errorf("%w: more than %d bytes", ErrLimit, u.limits.Bytes)
	}
	u.stats.Bytes += hdr.Size
	mode := uint32(hdr.Mode&0o777) | 0o400
	if len(u.crew.writers) > 0 && hdr.Size <= smallFile && len(xattrNames(hdr)) == 0 && !u.tree.names.has(parent.path, base) {
		return u.handOver(parent, base, hdr, mode, content)
	}
	if err := fsx.Step("create", base); err != nil {
		return err
	}
	fd := -1
	replaced, err := u.create(parent, base, func() (err error) {
		fd, err = sys.CreateAt(parent.fd, base, mode)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	if err := u.fill(fd, base, hdr, content); err != nil {
		return err
	}
	if mode&umask() != 0 {
		if err := chmod(fd, base, mode); err != nil {
			return err
		}
	}
	dropped, err := u.xattrs(fd, base, hdr)
	if err != nil {
		return err
	}
	if err := setTime(fd, base, hdr.ModTime); err != nil {
		return err
	}
	return u.owners.add(join(parent.path, base), hdr, mode, dropped, replaced)
}

// handOver reads a small file whose name is new and leaves it to the crew.
func (u *unpacker) handOver(parent *place, base string, hdr *tar.Header, mode uint32, content io.Reader) error {
	b := u.crew.room(parent, int(hdr.Size))
	from := len(b.buf)
	to := from + int(hdr.Size)
	if _, err := io.ReadFull(content, b.buf[from:to]); err != nil {
		return u.in.blame(err)
	}
	u.tree.names.add(parent.path, base)
	b.buf = b.buf[:to]
	b.jobs = append(b.jobs, job{
		seq: u.stats.Entries, entry: hdr.Name, dir: parent.fd, base: base, mode: mode, mtime: hdr.ModTime, from: from, to: to,
	})
	return u.owners.add(join(parent.path, base), hdr, mode, nil, false)
}

// writeSmall makes the file of a job. It runs on several goroutines at once.
func writeSmall(j *job, content []byte) (err error) {
	if err := fsx.Step("create", j.base); err != nil {
		return err
	}
	fd, err := sys.CreateAt(j.dir, j.base, j.mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	if len(content) > 0 {
		if err := fsx.Step("write", j.base); err != nil {
			return err
		}
		if err := sys.Write(fd, j.base, content); err != nil {
			return err
		}
	}
	if j.mode&umask() != 0 {
		if err := chmod(fd, j.base, j.mode); err != nil {
			return err
		}
	}
	return setTime(fd, j.base, j.mtime)
}

// isSparse reports whether archive/tar makes zeros out of the holes of a file (GNU's formats, the old one and those of PAX).
func isSparse(hdr *tar.Header) bool {
	if hdr.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range hdr.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
