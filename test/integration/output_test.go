package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMuchOutput: output without end and lines without end reach the reader whole, and the record keeps a part and counts it all.
func TestMuchOutput(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	size := int64(256 << 20)
	if tortured() {
		size = 4 << 30
	}
	for _, tc := range []struct{ name, script string }{
		{"lines", "yes abcdefghijklmno | head -c %d"},
		{"one line", "head -c %d /dev/zero | tr '\\0' x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			cmd := b.command("run", ref, "sh", "-c", fmt.Sprintf(tc.script, size))
			var read counter
			cmd.Stdout = &read
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			log := b.record("last").Log
			if int64(read) != size || log.Bytes != size || log.Kept+log.Dropped != size || log.Kept > 101<<20 {
				t.Errorf("of %d bytes %d were read, the record says %+v", size, read, log)
			}
			nothingLeft(t, b)
		})
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// TestNobodyReads: a job whose output nobody takes waits, and ends when it is asked to; one whose reader has gone is told
// (SIGPIPE), as it would be without Coracle between.
func TestNobodyReads(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	t.Run("the reader sleeps", func(t *testing.T) {
		b.t = t
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		b.dir("out")
		j := &job{Cmd: b.command("run", "--stop-timeout", "1s", "-v", b.wd+"/out:/out", ref, "sh", "-c", ": >/out/up; exec yes")}
		j.Stdout, j.Stderr = w, &j.stderr
		if err := errors.Join(j.Start(), w.Close()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the pipe is full", 20*time.Second, func() error { return full(r) })
		j.signal(t, unix.SIGTERM)
		if r := b.wait(j); r.code != 143 {
			t.Errorf("status %d: %s", r.code, r.stderr)
		}
		nothingLeft(t, b)
	})
	t.Run("the reader goes", func(t *testing.T) {
		b.t = t
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		j := &job{Cmd: b.command("run", ref, "yes")}
		j.Stdout, j.Stderr = w, &j.stderr
		if err := errors.Join(j.Start(), w.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if r := b.wait(j); r.code != 128+int(unix.SIGPIPE) {
			t.Errorf("status %d: %s", r.code, r.stderr)
		}
		nothingLeft(t, b)
	})
}

// full reports whether a pipe holds as much as it can.
func full(r *os.File) error {
	held, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
	if err != nil {
		return err
	}
	size, err := unix.FcntlInt(r.Fd(), unix.F_GETPIPE_SZ, 0)
	if err == nil && held < size {
		return fmt.Errorf("%d of %d bytes", held, size)
	}
	return err
}

// TestClosedStreams: a shell may close what a program expects to be open.
func TestClosedStreams(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	const reads = "echo read $(cat | wc -c); "
	for _, tc := range []struct {
		close   string
		options []string
		script  string
		stdout  string
	}{
		{"<&-", nil, reads, "read 0\n"},
		{"<&-", []string{"-i"}, reads, "read 0\n"},
		{">&-", nil, reads, ""},
		{"2>&-", nil, reads, "read 0\n"},
		{"<&- >&- 2>&-", []string{"-i"}, reads, ""},
		{"<&- >&- 2>&-", []string{"-t"}, "tty; ", ""}, // nobody ends the input of a terminal
	} {
		t.Run(fmt.Sprintf("%s %q", tc.close, tc.options), func(t *testing.T) {
			b.t = t
			b.dir("out")
			args := append([]string{"run", "-v", b.wd + "/out:/out"}, tc.options...)
			cmd := b.command(append(args, ref, "sh", "-c", tc.script+"ls -l /proc/self/fd >&2; echo ran >/out/ran; exit 3")...)
			cmd.Args = append([]string{"sh", "-c", `exec "$@" ` + tc.close, "sh"}, cmd.Args...)
			cmd.Path = "/bin/sh"
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			j := &job{Cmd: cmd}
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			if code := b.wait(j).code; code != 3 || stdout.String() != tc.stdout {
				t.Errorf("status %d, %q: %s", code, &stdout, &stderr)
			}
			if raw, err := os.ReadFile(filepath.Join(b.wd, "out", "ran")); err != nil || string(raw) != "ran\n" {
				t.Errorf("%q, %v", raw, err)
			}
			nothingLeft(t, b)
		})
	}
}
