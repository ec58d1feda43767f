package terminal

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// file is one to write to, and to read what was written.
func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "out"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestPipe: the command's end blocks, as programs expect.
func TestPipe(t *testing.T) {
	for end := range 2 {
		ours, theirs, err := Pipe(end)
		if err != nil {
			t.Fatal(err)
		}
		for f, blocks := range map[*os.File]bool{ours: false, theirs: true} {
			raw, err := f.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = raw.Control(func(fd uintptr) {
				flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
				if err != nil || flags&unix.O_NONBLOCK == 0 != blocks {
					t.Errorf("end %d: flags %#x, %v; want it to block: %v", end, flags, err, blocks)
				}
			})
		}
		if !isPipe(theirs) {
			t.Error("a pipe is none")
		}
		_, _ = ours.Close(), theirs.Close()
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	named, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if isPipe(named) || isPipe(file(t)) {
		t.Error("what has a name can be found by it")
	}
}
