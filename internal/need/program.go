package need

import (
	"os"
	"syscall"
	"testing"
)

// Program writes a file that is going to be executed, as WriteProgram does; what goes wrong ends the test.
func Program(tb testing.TB, path, text string) {
	tb.Helper()
	if err := WriteProgram(path, []byte(text)); err != nil {
		tb.Fatal(err)
	}
}

// WriteProgram writes a file that is going to be executed. Nothing is forked meanwhile: a child has the open file, too, until it
// executes its own program, and the kernel executes nothing that somebody has open for writing (ETXTBSY). Tests that run beside
// each other start programs all the time.
func WriteProgram(path string, content []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, content, 0o755)
}
