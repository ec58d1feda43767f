package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

const (
	pageSize = 4 << 10
	minHole  = 64 << 10 // zeros of that many bytes and more are left out of a file

	// The page cache keeps what is written at once in one piece where that is aligned to its own size; ext4 then needs a
	// third less time for it.
	writeUnit = 128 << 10

	minAllocate = 1 << 20  // files of that size get their blocks before their content
	allocate    = 32 << 20 // that much of them at a time, for a size in an archive is only a claim
)

// fill writes the content of a file. Holes of a sparse file, which archive/tar hands out as zeros, and other long runs of
// zeros are left out: they read as zeros all the same.
func (u *unpacker) fill(fd int, name string, hdr *tar.Header, content io.Reader) error {
	sparse := isSparse(hdr)
	out := sink{fd: fd, name: name, size: hdr.Size, allocates: u.allocates && !sparse && hdr.Size >= minAllocate}
	for left := hdr.Size; left > 0; {
		piece, err := u.in.borrow(content, u.buf[:min(int64(len(u.buf)), left)], sparse)
		if err != nil {
			return u.in.blame(err)
		}
		left -= int64(len(piece))
		for len(piece) > 0 {
			data, zeros := cutZeros(piece)
			if err := out.add(data); err != nil {
				return err
			}
			if err := out.skip(zeros); err != nil {
				return err
			}
			piece = piece[len(data)+zeros:]
		}
		if u.in.chunks == nil || sparse {
			if err := out.flush(); err != nil { // the buffer is used again
				return err
			}
		}
	}
	return out.finish()
}

// sink is a file being written in units that are aligned, out of pieces that are not.
type sink struct {
	fd   int
	name string
	size int64

	at      int64    // where pending goes
	pending [][]byte // at most the last two pieces of the stream: see Chunks
	end     int64    // of what has been written

	allocates bool
	allocated int64 // from the beginning of the file
}

// add takes a piece, and writes all that makes whole units.
func (s *sink) add(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	before := s.held()
	s.pending = append(s.pending, data)
	if before == 0 {
		return nil // perhaps the next one is the last
	}
	whole := (s.at+before+int64(len(data)))/writeUnit*writeUnit - s.at
	if whole <= before {
		return s.flush() // the pieces are small; no more than two may be kept
	}
	keep := data[whole-before:]
	s.pending[len(s.pending)-1] = data[:whole-before]
	if err := s.flush(); err != nil {
		return err
	}
	if len(keep) > 0 {
		s.pending = append(s.pending, keep)
	}
	return nil
}

// held counts the bytes that are pending.
func (s *sink) held() (n int64) {
	for _, p := range s.pending {
		n += int64(len(p))
	}
	return n
}

// flush writes what is pending.
func (s *sink) flush() error {
	n := s.held()
	if n == 0 {
		return nil
	}
	if err := fsx.Step("write", s.name); err != nil {
		return err
	}
	if err := s.reserve(s.at + n); err != nil {
		return err
	}
	if err := sys.WriteAt(s.fd, s.name, s.at, s.pending...); err != nil {
		return err
	}
	s.at += n
	s.end = s.at
	s.pending = s.pending[:0]
	return nil
}

// reserve has blocks allocated for what is about to be written up to an offset, and some more.
func (s *sink) reserve(to int64) error {
	if !s.allocates || to <= s.allocated {
		return nil
	}
	n := min(s.size-s.allocated, allocate)
	err := sys.Allocate(s.fd, s.name, s.allocated, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		s.allocates = false
		return nil
	}
	s.allocated += n
	return err
}

// skip leaves a hole.
func (s *sink) skip(zeros int) error {
	if zeros == 0 {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	from, had := s.at, s.allocated
	s.at += int64(zeros)
	s.allocated = max(had, s.at)
	if from >= had {
		return nil
	}
	if err := fsx.Step("punch", s.name); err != nil {
		return err
	}
	return sys.PunchHole(s.fd, s.name, from, min(s.at, had)-from)
}

// finish writes the rest, and sees to it that a file which ends in a hole has its size.
func (s *sink) finish() error {
	if err := s.flush(); err != nil {
		return err
	}
	if s.end < s.size {
		if err := fsx.Step("truncate", s.name); err != nil {
			return err
		}
		return sys.Truncate(s.fd, s.name, s.size)
	}
	return nil
}

// canAllocate reports whether allocating before writing saves time on a file system: on ext4 it does. Others were not
// measured, and btrfs would not compress such files.
func canAllocate(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type == unix.EXT4_SUPER_MAGIC
}

var zeroPage [pageSize]byte

// cutZeros splits what is to be written before its first long run of zeros, and says how long that is.
func cutZeros(p []byte) (data []byte, zeros int) {
	start := 0 // of the run
	for at := 0; at < len(p); {
		page := p[at:min(at+pageSize, len(p))]
		if page[0] == 0 && page[len(page)-1] == 0 && bytes.Equal(page, zeroPage[:len(page)]) {
			at += len(page)
			continue
		}
		if at-start >= minHole {
			return p[:start], at - start
		}
		at += len(page)
		start = at
	}
	if len(p)-start >= minHole {
		return p[:start], len(p) - start
	}
	return p, 0
}
