package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// ReadStat reads that of a process of this /proc. The error wraps fs.ErrNotExist when there is no such process.
func ReadStat(pid int) (Stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, gone(err)
	}
	return ParseStat(text)
}

// ReadStatus reads that of a process of this /proc, as ReadStat does.
func ReadStatus(pid int) (Status, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	return Status(text), gone(err)
}

// self reads that of this process.
func self() (Stat, error) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(text)
}

// Files of one process are shorter. A status is longer than a page where the user is in hundreds of groups.
const (
	mostStat   = 4 << 10
	mostStatus = 1 << 20
)

// StatAt reads that of a process whose directory is below an open one: "." is the directory itself.
func StatAt(dir int, process string) (Stat, error) {
	text, err := ReadAt(dir, path.Join(process, "stat"), mostStat)
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(text)
}

// StatusAt reads that of a process whose directory is below an open one, as StatAt does.
func StatusAt(dir int, process string) (Status, error) {
	text, err := ReadAt(dir, path.Join(process, "status"), mostStatus)
	return Status(text), err
}

// ReadAt reads a file of /proc below an open directory of it, no more than so many bytes. The error wraps fs.ErrNotExist when the
// process has ended.
func ReadAt(dir int, name string, most int) (text []byte, err error) {
	fd, err := sys.OpenBeneath(dir, name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, gone(err)
	}
	defer func() { _ = sys.Close(fd) }() // only read from
	text = make([]byte, min(most, 1<<10))
	for n := 0; ; {
		got := 0
		err := sys.Retry(func() (err error) { got, err = unix.Read(fd, text[n:]); return err })
		if err != nil {
			return nil, gone(&fs.PathError{Op: "read", Path: name, Err: err})
		}
		if n += got; got == 0 || n == most {
			return text[:n], nil
		}
		if n == len(text) {
			text = slices.Concat(text, make([]byte, min(n, most-n)))
		}
	}
}

// gone says of a process that ended after its directory or file was opened that it does not exist, as of one that ended before.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
