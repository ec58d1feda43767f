package record

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

// roomSize is how many bytes the room of a record takes up; -1: there is none.
func roomSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, roomName))
	if errors.Is(err, os.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The end of a record has its place taken up from the beginning, and gets it, whoever writes it.
func TestRoomForTheEnd(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: self(t)})
	if got, want := roomSize(t, w.Dir()), int64(resultRoom+lastWordsRoom); got < want*9/10 || got > want {
		t.Errorf("the room has %d bytes of %d", got, want)
	}
	restore := fsx.InjectFaults(func(op, path string) error {
		if op == "create" && roomSize(t, w.Dir()) >= 0 {
			t.Errorf("%s: the room is still taken up", path)
		}
		return nil
	})
	defer restore()
	if err := w.Finish(Result{Cause: Exited}); err != nil {
		t.Error(err)
	}
	gone := create(t, runs, Run{Supervisor: dead(t)})
	if err := MarkLost(gone.Dir()); err != nil || roomSize(t, gone.Dir()) != -1 {
		t.Errorf("of a lost run: %v, %d bytes", err, roomSize(t, gone.Dir()))
	}
}

// A record is made where there is no room for its end, and nothing of that is left.
func TestNoRoomForTheEnd(t *testing.T) {
	restore := fsx.InjectFaults(func(_, path string) error {
		if filepath.Base(path) == roomName {
			return unix.ENOSPC
		}
		return nil
	})
	defer restore()
	w := create(t, Open(t.TempDir()), Run{})
	if err := w.Finish(Result{Cause: Exited}); err != nil || roomSize(t, w.Dir()) != -1 {
		t.Errorf("%v, %d bytes", err, roomSize(t, w.Dir()))
	}
}

// The first output that finds the disk full gets its room, once; what fails for another reason leaves it.
func TestRoomForLastWords(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := create(t, Open(t.TempDir()), Run{})
	own := w.log.file
	w.log.file = full
	for range 2 {
		if _, err := w.Log().Write([]byte("no space left\n")); err != nil {
			t.Error(err)
		}
		if got := roomSize(t, w.Dir()); got != resultRoom {
			t.Errorf("the room has %d bytes", got)
		}
	}
	w.log.file = own
	err = errors.Join(w.Finish(Result{Cause: Exited}), full.Close())
	if want := filepath.Join(w.Dir(), logFile); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "keeping the output: write "+want+": ") {
		t.Errorf("it says %v", err)
	}
	if log := (&Log{dir: w.Dir()}); log.makeRoom(unix.EIO) || log.yielded {
		t.Error("the room is given up for a broken disk")
	}
}

// A line that does not fit on the disk is not half there, or the next one would be a part of it.
func TestALineThatDoesNotFit(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{})
	if err := w.Event("one", nil); err != nil {
		t.Fatal(err)
	}
	size := int64(len(readFile(t, filepath.Join(w.Dir(), eventsFile))))
	limited(t, uint64(size)+10, func() {
		if err := w.Event("two", nil); err == nil || !strings.Contains(err.Error(), "recording the event two: write "+w.Dir()) {
			t.Errorf("it says %v", err)
		}
	})
	if err := w.Event("three", nil); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(readFile(t, filepath.Join(w.Dir(), eventsFile)), "\n"), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s", line)
		}
	}
	if len(lines) != 2 {
		t.Errorf("%d lines", len(lines))
	}
}

// limited has no file of this process grow beyond so many bytes: what crosses that is written in part, as on a full disk.
func limited(t *testing.T, bytes uint64, do func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	do()
}
