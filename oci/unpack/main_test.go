package unpack_test

import (
	"encoding/json"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

const memory = "/dev/shm"

// TestMain moves the tests to memory where that can hold what they make. They make tens of thousands of files, and an ext4
// without a journal takes a millisecond for each one after many others were removed (test/bench/README.md).
func TestMain(m *testing.M) {
	if dir := os.Getenv(fenceEnv); dir != "" {
		if err := json.NewEncoder(os.Stdout).Encode(unpackMisled(dir, os.Getenv(fenceEnv+"D") == "true")); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	if os.Getenv("TMPDIR") == "" && holds(memory) {
		_ = os.Setenv("TMPDIR", memory) // else they stay where they are
	}
	os.Exit(m.Run())
}

// holds reports whether a directory can hold the attributes of layers.
func holds(dir string) bool {
	probe, err := os.MkdirTemp(dir, "unpack-test-")
	if err != nil {
		return false
	}
	defer os.Remove(probe) //nolint:errcheck // empty, and in memory
	return unix.Setxattr(probe, "user.overlay.opaque", []byte("y"), 0) == nil
}
