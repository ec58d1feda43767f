package unpack_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain moves the tests to memory where that can hold what they make. They make tens of thousands of files, and an ext4
// without a journal takes a millisecond for each one after many others were removed (test/bench/README.md).
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	const memory = "/dev/shm"
	if os.Getenv("TMPDIR") != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp(memory, "unpack-test-")
	if err != nil {
		return m.Run()
	}
	defer os.RemoveAll(dir) //nolint:errcheck // each test has removed its own
	if unix.Setxattr(dir, "user.overlay.opaque", []byte("y"), 0) == nil && os.Setenv("TMPDIR", dir) == nil {
		return m.Run()
	}
	return m.Run()
}
