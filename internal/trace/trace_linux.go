// Package trace notes when the parts of a start are done, for those who want to make it shorter: with CORACLE_TRACE=FILE in its
// environment a run appends one line to FILE for each part,
//
//	NANOSECONDS PROCESS WHAT
//
// in nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. Without the variable a mark costs one comparison.
// What is written is for people and for `go run ./test/bench start -budget`; it promises nothing.
package trace

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Env is the variable that names the file.
const Env = "CORACLE_TRACE"

// Who marks come from.
const (
	Run    = "run"
	Keeper = "keeper"
	Init   = "init" // libcontainer's, then the container's
)

// What the keeper notes that tests wait for.
const (
	Rehearsed = "rehearsed"
	Settled   = "record on disk" // after the run has ended
)

var sink = sync.OnceValue(func() *os.File {
	path := os.Getenv(Env)
	if path == "" {
		return nil
	}
	f, err := fsx.AppendFile(path, 0o600)
	if err != nil {
		return nil // whoever asked sees an empty file
	}
	return f
})

// On reports whether anybody wants marks.
func On() bool { return sink() != nil }

// Environ is the environment in which another process of this start marks, too; empty when nobody wants that.
func Environ() []string {
	if !On() {
		return []string{}
	}
	return []string{Env + "=" + os.Getenv(Env)}
}

// Mark notes that something is done, by the process called who.
func Mark(who, what string) {
	if f := sink(); f != nil {
		note(f, Now(), who, what)
	}
}

// MarkAt is Mark for something that was done at another time, as Now tells it.
func MarkAt(nanoseconds uint64, who, what string) {
	if f := sink(); f != nil {
		note(f, nanoseconds, who, what)
	}
}

// note writes a line at once and whole: several processes append to one file.
func note(f *os.File, nanoseconds uint64, who, what string) {
	_, _ = fmt.Fprintf(f, "%d %s %s\n", nanoseconds, who, what) // a trace that is lost is seen to be
}

// Now is the time of CLOCK_MONOTONIC in nanoseconds.
func Now() uint64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail for a clock that every kernel has
	return uint64(now.Nano())
}
