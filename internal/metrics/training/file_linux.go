package training

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// FileName is the file of metrics in its directory.
const FileName = "metrics.jsonl"

const (
	pollBytes = 4 << 20 // read at once
	lastBytes = 4 * pollBytes
)

// File reads the file in a directory that the job may write to. The job may do anything there: what is not a plain file of one
// name is not read, and nothing that it does makes a read wait.
type File struct {
	dir    int
	fd     int // -1: none
	inode  uint64
	offset int64
	last   bool // refused is counted once in a row
	buf    []byte
	lines  lines
}

// OpenFile reads below a directory.
func OpenFile(path string) (*File, error) {
	dir, err := sys.OpenDir(path)
	if err != nil {
		return nil, fmt.Errorf("opening the directory of the job's metrics: %w", err)
	}
	return &File{dir: dir, fd: -1}, nil
}

// Name implements Source.
func (f *File) Name() string { return "file" }

// Poll implements Source.
func (f *File) Poll(take func(Point), drop func(Dropped, int64)) (more bool, err error) {
	st, err := sys.StatAt(f.dir, FileName)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return false, fmt.Errorf("looking at the job's metrics: %w", err)
	}
	there := err == nil
	f.lines.wanted = func([]byte) bool { return true }
	f.lines.take = func(line []byte) { fileLine(line, take, drop) }
	f.lines.tooLong = func([]byte) { drop(LongLine, 1) }
	if f.fd >= 0 && (!there || st.Ino != f.inode) { // removed or replaced: its last lines first
		more, err := f.read(drop)
		if more || err != nil {
			return more, err
		}
		f.lines.rest()
		if err := f.letGo(); err != nil {
			return false, err
		}
	}
	if !there {
		return false, nil
	}
	if f.fd < 0 && !f.open(drop) {
		return false, nil
	}
	return f.read(drop)
}

// open opens the file, if it is one that can be read.
func (f *File) open(drop func(Dropped, int64)) bool {
	fd, err := sys.OpenBeneath(f.dir, FileName, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	var st unix.Stat_t
	if err == nil {
		st, err = sys.Stat(fd, FileName)
	}
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink <= 1 {
		f.fd, f.inode, f.offset, f.last = fd, st.Ino, 0, false
		return true
	}
	if fd >= 0 {
		_ = sys.Close(fd) // nothing was read from it
	}
	if !f.last && !errors.Is(err, unix.ENOENT) {
		drop(BadFile, 1)
		f.last = true
	}
	return false
}

// read takes what has been added.
func (f *File) read(drop func(Dropped, int64)) (more bool, err error) {
	st, err := sys.Stat(f.fd, FileName)
	if err != nil {
		return false, err
	}
	if st.Nlink > 1 {
		drop(BadFile, 1)
		return false, f.letGo()
	}
	if st.Size < f.offset { // cut short: it begins anew
		f.offset = 0
		f.lines.held, f.lines.skip = nil, false
	}
	if f.buf == nil {
		f.buf = make([]byte, 64<<10)
	}
	for done := 0; done < pollBytes; {
		var n int
		err := sys.Retry(func() (err error) { n, err = unix.Pread(f.fd, f.buf, f.offset); return err })
		if err != nil {
			return false, fmt.Errorf("reading the job's metrics: %w", err)
		}
		if n == 0 {
			return false, nil
		}
		f.lines.add(f.buf[:n])
		f.offset += int64(n)
		done += n
	}
	return true, nil
}

// fileLine takes one line of the file. Numbers are all that is wanted of it.
func fileLine(line []byte, take func(Point), drop func(Dropped, int64)) {
	if len(line) == 0 {
		return
	}
	parsed, err := parse(line)
	if err != nil {
		drop(BadLine, 1)
		return
	}
	if len(parsed.Values) > 0 {
		take(parsed.Point)
	}
	if parsed.more > 0 {
		drop(ManyNames, int64(parsed.more))
	}
}

// Close implements Source.
func (f *File) Close() (unread int64, err error) {
	if f.fd >= 0 {
		f.lines.rest()
		if st, err := sys.Stat(f.fd, FileName); err == nil {
			unread = max(0, st.Size-f.offset)
		}
	}
	return unread, errors.Join(f.letGo(), sys.Close(f.dir))
}

func (f *File) letGo() error {
	if f.fd < 0 {
		return nil
	}
	fd := f.fd
	f.fd, f.offset = -1, 0
	return sys.Close(fd)
}
