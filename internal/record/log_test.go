package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// small bounds make every boundary cheap to reach: 10 bytes of the beginning, 90 of the end, in parts of 10.
var small = bounds{head: 10, tail: 90, part: 10}

func testLog(t *testing.T, secrets ...string) (*Log, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "runs", "log") // as a record's directory: the data root is two above it
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &scrubber{}
	for _, v := range secrets {
		s.secrets = append(s.secrets, []byte(v))
	}
	l, err := newLog(dir, small, s)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

// pattern is n bytes in which every 8 tell where they are.
func pattern(n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "%07d\n", b.Len())
	}
	return b.Bytes()[:n]
}

func expected(in []byte) (out []byte, stat LogStat) {
	stat.Bytes = int64(len(in))
	if len(in) <= 100 {
		stat.Kept = stat.Bytes
		return in, stat
	}
	stat.Kept, stat.Dropped = 100, stat.Bytes-100
	gap := fmt.Sprintf("\n[coracle: %d bytes of output are not kept]\n", stat.Dropped)
	return []byte(string(in[:10]) + gap + string(in[len(in)-90:])), stat
}

func TestLogKeepsHeadAndTail(t *testing.T) {
	sizes := []int{0, 1, 9, 10, 11, 99, 100, 101, 109, 110, 111, 189, 190, 191, 199, 200, 201, 500, 1000, 12345}
	for _, size := range sizes {
		for _, chunk := range []int{1, 7, 10, 64, 20000} {
			t.Run(fmt.Sprintf("%d bytes by %d", size, chunk), func(t *testing.T) {
				l, dir := testLog(t)
				in := pattern(size)
				for p := in; len(p) > 0; {
					n, err := l.Write(p[:min(chunk, len(p))])
					if err != nil {
						t.Fatal(err)
					}
					p = p[n:]
				}
				checkLog(t, l, dir, in)
			})
		}
	}
}

// checkLog closes the log and compares what it left with what went in.
func checkLog(t *testing.T, l *Log, dir string, in []byte) {
	t.Helper()
	stat, err := l.close()
	if err != nil {
		t.Fatal(err)
	}
	want, wantStat := expected(in)
	if stat != wantStat {
		t.Errorf("counts %+v, want %+v", stat, wantStat)
	}
	if got := readFile(t, filepath.Join(dir, logFile)); got != string(want) {
		t.Errorf("kept %q\nwant %q", got, want)
	}
	if names := logNames(t, dir); len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

func TestLogBoundsDiskWhileRunning(t *testing.T) {
	l, dir := testLog(t)
	for i := range 200 {
		if _, err := l.Write(pattern(33)); err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, name := range logNames(t, dir) {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		if sum > 210 {
			t.Fatalf("%d bytes on disk after write %d", sum, i)
		}
	}
}

func TestLogIsReadableWhileRunning(t *testing.T) {
	l, dir := testLog(t)
	if _, err := l.Write([]byte("no newline yet")); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(dir, logFile)); got != "no newline yet" {
		t.Errorf("read %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("late")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestLogCountsWhatCannotBeWritten(t *testing.T) {
	l, _ := testLog(t)
	if err := l.file.Close(); err != nil { // every later write to the file fails, as on a full disk
		t.Fatal(err)
	}
	if n, err := l.Write([]byte("hello")); n != 5 || err != nil {
		t.Errorf("Write = %d, %v; a job must not notice", n, err)
	}
	stat, err := l.close()
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("close: %v, want the reason", err)
	}
	if want := (LogStat{Bytes: 5, Dropped: 5}); stat != want {
		t.Errorf("counts %+v, want %+v", stat, want)
	}
}

// A part that cannot be closed, as on a network file system, costs at most its own bytes, not all that comes later.
func TestLogGoesOnAfterAFailedClose(t *testing.T) {
	l, dir := testLog(t)
	in := pattern(150)
	if _, err := l.Write(in[:100]); err != nil {
		t.Fatal(err)
	}
	if err := l.file.Close(); err != nil { // the log's own close then fails
		t.Fatal(err)
	}
	if _, err := l.Write(in[100:]); err != nil {
		t.Fatal(err)
	}
	stat, err := l.close()
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("close: %v, want the reason", err)
	}
	want, wantStat := expected(in)
	if stat != wantStat {
		t.Errorf("counts %+v, want %+v", stat, wantStat)
	}
	if got := readFile(t, filepath.Join(dir, logFile)); got != string(want) {
		t.Errorf("kept %q\nwant %q", got, want)
	}
}

// Joiners that race, after a supervisor was killed, leave what one would have left; some may say that they came too late.
func TestJoinersRace(t *testing.T) {
	for range 50 {
		l, dir := testLog(t)
		in := pattern(1003)
		if _, err := l.Write(in); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := joinLog(dir, small, -1); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		checkJoined(t, dir, in)
		if got := readFile(t, filepath.Join(dir, logFile)); strings.Count(got, "[coracle: ") != 1 || len(got) > 150 {
			t.Fatalf("joined twice: %q", got)
		}
	}
}

// A supervisor killed at any moment leaves parts; joining them afterwards, also twice or after a crash between the rename
// and the removal of the parts, gives one file that ends as the output did.
func TestJoinAfterCrash(t *testing.T) {
	for _, size := range []int{50, 100, 150, 195, 260, 1003} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			l, dir := testLog(t)
			in := pattern(size)
			if _, err := l.Write(in); err != nil {
				t.Fatal(err)
			}
			parts, err := logParts(dir)
			if err != nil {
				t.Fatal(err)
			}
			saved := map[string]string{}
			for _, p := range parts {
				saved[p] = readFile(t, p)
			}
			for range 2 {
				if err := joinLog(dir, small, -1); err != nil {
					t.Fatal(err)
				}
				checkJoined(t, dir, in)
				for p, content := range saved {
					writeFile(t, p, content)
				}
			}
		})
	}
}

func checkJoined(t *testing.T, dir string, in []byte) {
	t.Helper()
	got := readFile(t, filepath.Join(dir, logFile))
	head, tail := in[:min(10, len(in))], in[max(0, len(in)-90):]
	if !strings.HasPrefix(got, string(head)) || !strings.HasSuffix(got, string(tail)) {
		t.Errorf("joined %q", got)
	}
	if len(in) > 100 && !strings.Contains(got, "[coracle: ") {
		t.Error("no line says that output is missing")
	}
	if parts, err := logParts(dir); err != nil || len(parts) != 0 {
		t.Errorf("parts left: %v, %v", parts, err)
	}
}

func TestScrubberFindsSecretsCutByWrites(t *testing.T) {
	const secret = "CANARY-aab-CANARY"
	in := strings.Repeat("CANARY-aaCANARY-aab-CANARY-aab-CANARY CAN "+secret+"\n", 3) + "CANARY-aab"
	want := strings.ReplaceAll(in, secret, Redacted)
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		s := &scrubber{secrets: [][]byte{[]byte(secret), []byte("never seen")}}
		var out bytes.Buffer
		for r := strings.NewReader(in); r.Len() > 0; {
			chunk, err := io.ReadAll(io.LimitReader(r, 1+random.Int64N(20)))
			if err != nil {
				t.Fatal(err)
			}
			out.Write(s.next(chunk))
		}
		out.Write(s.rest())
		if out.String() != want {
			t.Fatalf("got %q\nwant %q", out.String(), want)
		}
	}
}

func TestLogHoldsBackOnlyTheBeginningOfASecret(t *testing.T) {
	l, dir := testLog(t, "hunter2-canary")
	for _, s := range []string{"my password is hun", "ter2-canary!", " hunt"} {
		if _, err := l.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got := readFile(t, filepath.Join(dir, logFile)); got != "my password is [redacted]! " {
		t.Errorf("while running: %q", got)
	}
	checkLog(t, l, dir, []byte("my password is [redacted]! hunt"))
}

// logNames are the files of a log but that of its times, which has a bound of its own.
func logNames(t *testing.T, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(fileNames(t, dir), func(name string) bool { return name == timesFile })
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A job that has the store among its volumes may put links in the place of the log's files. What they lead to is neither cut nor copied
// to where the job reads it.
func TestLogFollowsNoLink(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	writeFile(t, canary, string(pattern(300)))
	for _, part := range []int{0, 1, 2} {
		for _, size := range []int{1, 10} {
			l, dir := testLog(t)
			if _, err := l.Write(pattern(105)); err != nil { // output.log is full, and output.log.1 has begun
				t.Fatal(err)
			}
			path := partPath(dir, part)
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if err := os.Symlink(canary, path); err != nil {
				t.Fatal(err)
			}
			for range size * 20 { // through several parts
				if _, err := l.Write([]byte("--------\n")); err != nil {
					t.Fatal(err)
				}
			}
			_ = l.Close() // and says what it could not keep, or not
			for _, name := range fileNames(t, dir) {
				if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
					continue
				}
				if strings.Contains(readFile(t, filepath.Join(dir, name)), "0000200") {
					t.Errorf("a link for part %d: %s holds what the link leads to", part, name)
				}
			}
			if got := readFile(t, canary); got != string(pattern(300)) {
				t.Fatalf("a link for part %d: what it leads to has %d bytes", part, len(got))
			}
		}
	}
}
