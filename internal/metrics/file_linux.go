package metrics

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// directory is an open one of the kernel's (procfs, cgroupfs): its files are read whole, into a buffer that is used again.
type directory struct {
	fd  int
	buf []byte
}

func openDirectory(path string) (*directory, error) {
	fd, err := sys.OpenDir(path)
	if err != nil {
		return nil, err
	}
	return &directory{fd: fd, buf: make([]byte, 4<<10)}, nil
}

// read returns the content of a file, until the next read.
func (d *directory) read(name string) ([]byte, error) {
	var fd int
	err := sys.Retry(func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }() // only read from
	return d.fill(fd)
}

// fill reads a file from its current place to its end.
func (d *directory) fill(fd int) ([]byte, error) {
	const most = 1 << 20 // a memory.stat has 2 KiB; the io.stat of a large machine more
	for n := 0; ; {
		if n == len(d.buf) {
			if n >= most {
				return nil, io.ErrShortBuffer
			}
			d.buf = append(d.buf, make([]byte, n)...)
		}
		got, err := unix.Read(fd, d.buf[n:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		case got == 0:
			return d.buf[:n], nil
		default:
			n += got
		}
	}
}

func (d *directory) close() error { return sys.Close(d.fd) }

// cpuTime is what the calling thread has used so far.
func cpuTime() time.Duration {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &used) // cannot fail for memory of our own
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// number reads a file that holds one; "max" is infinity.
func (d *directory) number(name string) (float64, bool) {
	text, err := d.read(name)
	if err != nil {
		return 0, false
	}
	return parseNumber(bytes.TrimSpace(text))
}

func parseNumber(text []byte) (float64, bool) {
	if string(text) == "max" {
		return math.Inf(1), true
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	return float64(n), err == nil
}

// pairs calls f for each "NAME NUMBER" line, the separator being a space or a colon.
func pairs(text []byte, f func(name string, value float64)) {
	for line := range bytes.Lines(text) {
		at := bytes.IndexAny(line, " :\t")
		if at < 0 {
			continue
		}
		value := bytes.TrimLeft(line[at+1:], " \t")
		if end := bytes.IndexAny(value, " \n"); end >= 0 {
			value = value[:end]
		}
		if n, ok := parseNumber(value); ok {
			f(string(line[:at]), n)
		}
	}
}
