package sys

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CreateAt makes the regular file name in dir for writing. It fails with fs.ErrExist on any name that is taken, links
// included. The umask applies.
func CreateAt(dir int, name string, mode uint32) (int, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd := -1
	err := retry("create", name, func() (err error) {
		fd, err = unix.Openat(dir, name, flags, mode)
		return err
	})
	return fd, err
}

// Write writes all of data; path only names the file in the error.
func Write(fd int, path string, data []byte) error {
	for len(data) > 0 {
		n := 0
		err := retry("write", path, func() (err error) {
			n, err = unix.Write(fd, data)
			return err
		})
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// WriteAt writes all of the pieces, one after the other, at an offset; path only names the file in the error.
func WriteAt(fd int, path string, offset int64, pieces ...[]byte) error {
	for len(pieces) > 0 {
		if len(pieces[0]) == 0 {
			pieces = pieces[1:]
			continue
		}
		n := 0
		err := retry("write", path, func() (err error) {
			if len(pieces) == 1 {
				n, err = unix.Pwrite(fd, pieces[0], offset)
			} else {
				n, err = unix.Pwritev(fd, pieces, offset)
			}
			return err
		})
		if err != nil {
			return err
		}
		offset += int64(n)
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if n > 0 { // a short write
			pieces = append([][]byte{pieces[0][n:]}, pieces[1:]...)
		}
	}
	return nil
}

// Allocate gives a part of an open file its blocks, and the file at least the size of that; what has no content yet reads as
// zeros. EOPNOTSUPP means that the file system cannot. path only names the file in the error.
func Allocate(fd int, path string, offset, size int64) error {
	return retry("fallocate", path, func() error { return unix.Fallocate(fd, 0, offset, size) })
}

// PunchHole takes the blocks of a part of an open file, which then reads as zeros; path only names the file in the error.
func PunchHole(fd int, path string, offset, size int64) error {
	return retry("fallocate", path, func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, size)
	})
}

// Truncate sets the size of an open file; path only names it in the error.
func Truncate(fd int, path string, size int64) error {
	return retry("ftruncate", path, func() error { return unix.Ftruncate(fd, size) })
}

// Umask is the mask of permission bits that new files of this process do not get. Unlike umask(2), asking does not change
// it. Where /proc does not tell, it is 0777: nothing can be relied upon.
func Umask() uint32 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o777
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "Umask:"); ok {
			if mask, err := strconv.ParseUint(strings.TrimSpace(value), 8, 32); err == nil {
				return uint32(mask)
			}
		}
	}
	return 0o777
}
