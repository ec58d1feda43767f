package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/metrics/training"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

func TestMissingVolumesAreNamed(t *testing.T) {
	dir := t.TempDir()
	there := spec.Volume{Type: spec.Bind, Source: dir}
	if err := checkVolumes([]spec.Volume{there, {Type: spec.Tmpfs}}); err != nil {
		t.Error(err)
	}
	missing := filepath.Join(dir, "data")
	err := checkVolumes([]spec.Volume{there, {Type: spec.Bind, Source: missing}})
	if !errors.Is(err, ErrVolume) || !strings.Contains(err.Error(), missing) {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkVolumes([]spec.Volume{{Type: spec.Bind, Source: file + "/below"}}); !errors.Is(err, ErrVolume) {
		t.Error(err)
	}
}

func TestFailuresHaveCodesAndCauses(t *testing.T) {
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(signals.InterruptError{Signal: unix.SIGTERM})
	for _, c := range []struct {
		name  string
		ctx   context.Context
		err   error
		code  int
		cause record.Cause
	}{
		{"no such command", t.Context(), fmt.Errorf("x: %w", container.ErrNotFound), 127, record.NotFound},
		{"not executable", t.Context(), container.ErrNotExecutable, 126, record.NotExecutable},
		{"no such user", t.Context(), container.ErrUser, 125, record.ImageFailure},
		{"anything else", t.Context(), container.ErrStart, 125, record.StartFailure},
		{"SIGTERM before the start", interrupted, container.ErrStart, 143, record.Stopped},
	} {
		code, cause, err := failure(c.ctx, c.err, record.StartFailure)
		if code != c.code || cause != c.cause || err == nil {
			t.Errorf("%s: %d, %s, %v", c.name, code, cause, err)
		}
	}
}

func TestExitErrors(t *testing.T) {
	if e := (&ExitError{Code: 3}); !e.Silent() || e.ExitCode() != 3 || !strings.Contains(e.Error(), "3") {
		t.Errorf("%+v", e)
	}
	inner := errors.New("why")
	if e := (&ExitError{Code: 125, Err: inner}); e.Silent() || !errors.Is(e, inner) || e.Error() != "why" {
		t.Errorf("%+v", e)
	}
}

// failing is an output that takes nothing.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestOutputGoesToBothAndOutlivesTheCallersTerminal(t *testing.T) {
	for _, c := range []struct {
		name string
		to   io.Writer
		ends bool // the job is told that nobody reads
	}{
		{"a reader", &bytes.Buffer{}, false},
		{"a reader that has gone (EPIPE)", failing{unix.EPIPE}, true},
		{"a terminal that has gone (EIO)", failing{unix.EIO}, false},
		{"nobody", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s := &streams{log: &log, listen: deaf, joint: &joint{}}
			done := make(chan struct{})
			go func() { defer close(done); s.copy(outStream, c.to, r) }()
			if _, err := io.WriteString(w, "one\n"); err != nil {
				t.Fatal(err)
			}
			if c.ends {
				<-done
				if _, err := io.WriteString(w, "two\n"); !errors.Is(err, unix.EPIPE) {
					t.Errorf("the job may go on writing: %v", err)
				}
				return
			}
			if _, err := io.WriteString(w, "two\n"); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			<-done
			if lost := s.trouble != nil; lost != (c.to == failing{unix.EIO}) {
				t.Errorf("lost output: %v", s.trouble)
			}
			if log.String() != "one\ntwo\n" {
				t.Errorf("log %q", log.String())
			}
			if b, ok := c.to.(*bytes.Buffer); ok && b.String() != "one\ntwo\n" {
				t.Errorf("output %q", b.String())
			}
		})
	}
}

func TestNamesThatWouldConfuse(t *testing.T) {
	for _, name := range []string{"", "first", "lr-1e_4.2", "7"} {
		if err := checkNames(name, ""); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"a/b", "..", "-x", "a b", "a\nb", "last", strings.Repeat("x", 129)} {
		if err := checkNames(name, ""); !errors.Is(err, spec.ErrOption) {
			t.Errorf("--name %q: %v", name, err)
		}
	}
	for _, host := range []string{"node7", "node7.cluster", "a_b"} {
		if err := checkNames("", host); err != nil {
			t.Error(err)
		}
	}
	for _, host := range []string{"x y", "a\n127.0.0.1 b", "-a", strings.Repeat("x", 65)} {
		if err := checkNames("", host); !errors.Is(err, spec.ErrOption) {
			t.Errorf("--hostname %q: %v", host, err)
		}
	}
}

// deaf hears nothing in what a job prints.
func deaf() io.WriteCloser { return training.NewOutput(nil, nil, nil) }

func TestFinishEndsWithoutAJob(t *testing.T) {
	s, err := openStreams(Streams{In: os.Stdin, Out: io.Discard, Err: io.Discard}, io.Discard, deaf, Options{}, &joint{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.finish(); err != nil {
		t.Error(err)
	}
}

func TestNoticesThatNobodyReadsHoldUpNothing(t *testing.T) {
	unread := make(chan struct{})
	defer close(unread)
	var heard []string
	r := &Runner{Notice: func(text string) {
		if text == "stuck" {
			<-unread
			return
		}
		heard = append(heard, text)
	}}
	r.tell("one")
	r.tell("stuck")
	r.tell("two")
	if strings.Join(heard, " ") != "one two" {
		t.Errorf("%q", heard)
	}
}

func TestCodesOfCauses(t *testing.T) {
	w := Watch{Codes: map[record.Cause]int{record.OOM: 85}}
	if w.code(record.OOM, 137) != 85 || w.code(record.Exited, 3) != 3 {
		t.Errorf("%d, %d", w.code(record.OOM, 137), w.code(record.Exited, 3))
	}
}
