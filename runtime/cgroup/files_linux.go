package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files of the kernel are read and written by bare system calls: package os would ask the poller about each of them, and a start
// reads twenty.

// read is the text of a small file without the last line's end; "" where it cannot be read.
func read(path string) string {
	fd, err := open(path, unix.O_RDONLY)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var text strings.Builder
	buf := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return strings.TrimSuffix(text.String(), "\n")
		}
		text.Write(buf[:n])
	}
}

// kernel is what changes control groups. Files that are read lie in a directory that tests choose; of what is written, the
// effects are the kernel's.
type kernel interface {
	mkdir(dir string) error
	rmdir(dir string) error
	write(path, value string) error
}

// linux is the kernel that this runs on.
type linux struct{}

func (linux) mkdir(dir string) error { return os.Mkdir(dir, 0o755) }
func (linux) rmdir(dir string) error { return unix.Rmdir(dir) }

// write writes to a file that is there. The kernel takes or refuses a value as a whole.
func (linux) write(path, value string) error {
	fd, err := open(path, unix.O_WRONLY)
	if err == nil {
		_, err = unix.Write(fd, []byte(value))
		err = errors.Join(err, unix.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("writing %s to %s: %w", value, path, err)
	}
	return nil
}

func open(path string, mode int) (fd int, err error) {
	for {
		if fd, err = unix.Open(path, mode|unix.O_CLOEXEC, 0); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// writable is asked with the effective ids, which count for opening it.
func writable(path string) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil
}

// number reads a limit; false: there is none.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n < noLimitV1
}

// noLimitV1 is about what v1 shows for no limit: the greatest number of whole pages.
const noLimitV1 = 1 << 62

// cpuMax reads cpu.max of v2: quota and period in microseconds.
func cpuMax(text string) (cpus float64, ok bool) {
	quota, period, _ := strings.Cut(text, " ")
	q, qerr := strconv.ParseFloat(quota, 64)
	p, perr := strconv.ParseFloat(period, 64)
	if qerr != nil || perr != nil || q <= 0 || p <= 0 {
		return 0, false
	}
	return q / p, true
}
