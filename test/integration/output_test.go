package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMuchOutput: output without end and lines without end reach the reader whole, whoever that is; the record keeps a part and
// counts it all, and the supervisor's memory does not grow with it.
func TestMuchOutput(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	size, less := int64(256<<20), int64(4<<20) // the kernel's terminals pass on some 20 MB a second
	if tortured() {
		size, less = 4<<30, 256<<20
	}
	const text, lineSize = "abcdefghijklmno", 16
	lines := flood{script: fmt.Sprintf("yes %s | head -c %d", text, size), unit: text + "\n", size: size}
	onTerminal := flood{script: fmt.Sprintf("yes %s | head -c %d", text, less), unit: text + "\r\n", size: less + less/lineSize}
	endless := flood{script: fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", size), unit: "x", size: size}
	for _, tc := range []struct {
		name    string
		options []string
		flood   flood
		run     func(t *testing.T, b *box, read *checked, args ...string) *job
	}{
		{"lines, to a pipe", nil, lines, intoPipe},
		{"one line, to a pipe", nil, endless, intoPipe},
		{"lines, to a file", nil, lines, intoFile},
		{"a terminal, to a pipe", []string{"-t"}, onTerminal, intoPipe},
		{"a terminal, to the caller's", []string{"-it"}, onTerminal, intoTerminal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			read := &checked{unit: bytes.Repeat([]byte(tc.flood.unit), 64<<10/len(tc.flood.unit)+1), of: int64(len(tc.flood.unit))}
			args := append([]string{"run"}, tc.options...)
			started := time.Now()
			j := tc.run(t, b, read, append(args, ref, "sh", "-c", tc.flood.script)...)
			peak := make(chan int64, 1)
			go func() { peak <- peakMemory(j.Process.Pid) }()
			if err := j.Wait(); err != nil {
				t.Fatalf("%v: %s", err, &j.stderr)
			}
			nothingLeft(t, b)
			log := b.record("last").Log
			if got := read.end(); got != tc.flood.size {
				t.Errorf("of %d bytes %d were read as they should be", tc.flood.size, got)
			}
			if log.Bytes != tc.flood.size || log.Kept+log.Dropped != tc.flood.size || log.Kept > 101<<20 {
				t.Errorf("of %d bytes the record says %+v", tc.flood.size, log)
			}
			kib := <-peak
			t.Logf("%d MiB in %.1f s, the supervisor's peak %d KiB", tc.flood.size>>20, time.Since(started).Seconds(), kib)
			if kib > outputMemory {
				t.Errorf("the supervisor needed %d KiB, at most %d", kib, outputMemory)
			}
		})
	}
}

// outputMemory is the most that a supervisor may have resident, in KiB, however much its job prints: 22 MiB and some room. 15 of them are of
// the program's own file, and 7 what Go's collector allows itself. A limit (debug.SetMemoryLimit) of 10 MiB would save 1.5 of these for a
// tenth more processor time, one of 8 MiB 3 for six times as much.
const outputMemory = 28 << 10

// TestMemoryOfMuchOutput: the supervisor needs no more memory for much output than for little, also where it looks for secrets and for
// metrics in it.
func TestMemoryOfMuchOutput(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name, line string
		mib, much  int64 // MiB of output; with much torture
		options    []string
	}{
		{"plain", "abcdefghijklmno", 128, 10 << 10, nil},
		{"secrets", "abcdefghijklmno", 32, 2 << 10, []string{"-e", "HF_TOKEN=a-secret-of-some-length"}},
		{"metrics", "epoch 3 loss=0.25 accuracy=0.75", 8, 2 << 10, []string{"--metric", "loss=loss=([0-9.]+)", "--metric", "accuracy=accuracy=(?P<value>[0-9.]+)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			size := tc.mib << 20
			if tortured() {
				size = tc.much << 20
			}
			most, took := b.printMuch(ref, tc.line, size, tc.options...)
			t.Logf("after %d MiB the supervisor has had %.1f MiB at most; %v", size>>20, float64(most)/1024, took)
			if most > outputMemory {
				t.Errorf("the supervisor has had %d KiB of memory, at most %d", most, outputMemory)
			}
			rec := b.record("last")
			if rec.Log.Bytes != size || rec.Log.Kept+rec.Log.Dropped != size {
				t.Errorf("of %d bytes the record says %+v", size, rec.Log)
			}
		})
	}
}

// printMuch has a job print one line again and again, and gives the most memory that its supervisor has had, in KiB, while the job still
// runs.
func (b *box) printMuch(ref, line string, size int64, options ...string) (most int64, took time.Duration) {
	b.t.Helper()
	script := fmt.Sprintf("yes '%s' | head -c %d; read end", line, size)
	cmd := b.command(append(append([]string{"run", "-i"}, options...), ref, "sh", "-c", script)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, out, size); err != nil {
		b.t.Error(err)
	}
	most, took = statusKiB(b.t, cmd.Process.Pid, "VmHWM"), time.Since(start)
	if _, err := in.Write([]byte("\n")); err != nil {
		b.t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		b.t.Error(err)
	}
	return most, took
}

// statusKiB is a number of /proc/PID/status.
func statusKiB(t *testing.T, pid int, name string) (kib int64) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "\n"+name+":")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// flood is what a job prints: so many bytes of a unit again and again.
type flood struct {
	script, unit string
	size         int64
}

// checked counts what is written to it as long as it is a unit again and again.
type checked struct {
	mu   sync.Mutex
	unit []byte // repeated
	of   int64  // bytes in one
	good int64
	bad  bool
	wait func() // until all is written
}

// Write implements io.Writer.
func (c *checked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p; len(rest) > 0 && !c.bad; {
		from := c.good % c.of
		n := min(len(rest), len(c.unit)-int(from))
		if c.bad = !bytes.Equal(rest[:n], c.unit[from:int(from)+n]); !c.bad {
			c.good += int64(n)
			rest = rest[n:]
		}
	}
	return len(p), nil
}

// end is how many bytes were right.
func (c *checked) end() int64 {
	if c.wait != nil {
		c.wait()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.good
}

func intoPipe(t *testing.T, b *box, read *checked, args ...string) *job {
	t.Helper()
	j := &job{Cmd: b.command(args...)}
	j.Stdout, j.Stderr = read, &j.stderr
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	return j
}

func intoFile(t *testing.T, b *box, read *checked, args ...string) *job {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(b.wd, "printed"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = file.Close(), os.Remove(file.Name()) })
	j := &job{Cmd: b.command(args...)}
	j.Stdout, j.Stderr = file, &j.stderr
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	read.wait = func() {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(read, file); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func intoTerminal(t *testing.T, b *box, read *checked, args ...string) *job {
	t.Helper()
	p := newTerminal(t, 24, 80)
	p.to(read)
	j := p.start(b, args...)
	read.wait = func() {
		_ = p.slave.Close() // the last one that has it open
		<-p.done
	}
	return j
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
		waitFor(t, "the pipe is full", patience, func() error { return full(r) })
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
