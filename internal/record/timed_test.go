package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// at has a log take text as if it came in some minute.
func (l *Log) at(minute int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.times.add(l.dir, l.total-l.lost, time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC))
	l.times.last = time.Now().Add(time.Hour) // take is not to add the real one
	l.take([]byte(text))
	l.times.last = time.Time{}
}

func minute(n int) time.Time { return time.Date(2026, 1, 2, 3, n, 0, 0, time.UTC) }

// TestTimedLines: lines by when they were begun, from a log of one file, of several, and joined.
func TestTimedLines(t *testing.T) {
	for _, size := range []int{3, 12, 13, 14, 25, 60} { // lines of 8 bytes, of which 12 and a half fit into a file
		l, dir := testLog(t)
		all := pattern(8 * size)
		for i := range size {
			l.at(i, string(all[8*i:8*i+8]))
		}
		check := func(state string) {
			t.Helper()
			for _, r := range []LogRange{
				{Lines: -1, Stamps: true},
				{Lines: -1, Since: minute(size - 2)},
				{Lines: -1, Until: minute(1), Stamps: true},
				{Lines: 3, Stamps: true},
				{Lines: 3, Since: minute(size - 1), Stamps: true},
				{Lines: -1, Since: minute(size - 3), Until: minute(size - 1)},
			} {
				var got bytes.Buffer
				if err := copyTimed(dir, &got, r); err != nil {
					t.Fatal(err)
				}
				checkTimed(t, fmt.Sprintf("%d lines, %s, %+v", size, state, r), r, size, got.String())
			}
		}
		check("going on")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		check("ended")
	}
}

// copyTimed is CopyLog for the bounds of testLog.
func copyTimed(dir string, w *bytes.Buffer, r LogRange) error {
	c := &logCopy{dir: dir, w: w, keep: small, lines: &timedLines{w: w, wants: r}}
	return errors.Join(c.lines.begin(dir), c.begin(r.Lines), c.rest(false), c.lines.times.close())
}

// checkTimed holds what came out against what is in the log: line i was printed in minute i, and says 8 times i. Lines next to a
// gap may be cut.
func checkTimed(t *testing.T, name string, r LogRange, size int, got string) {
	t.Helper()
	last := -1
	for line := range strings.Lines(got) {
		stamp := ""
		if r.Stamps {
			stamp, line, _ = strings.Cut(line, " ")
		}
		var i int
		if n, err := fmt.Sscanf(line, "%07d\n", &i); n != 1 || err != nil || len(line) != 8 {
			continue // cut, or the line of the gap
		}
		i /= 8
		if r.Stamps && stamp != minute(i).Format(stampLayout) {
			t.Errorf("%s: line %d has the time %s", name, i, stamp)
		}
		if minute(i).Before(r.Since) || !r.Until.IsZero() && !minute(i).Before(r.Until) {
			t.Errorf("%s: line %d is there", name, i)
		}
		last = i
	}
	want := size - 1
	if !r.Until.IsZero() {
		want = int(r.Until.Sub(minute(0)).Minutes()) - 1
	}
	if last != want {
		t.Errorf("%s: the last line is %d, want %d:\n%s", name, last, want, got)
	}
}

// TestTimesOfPieces: a line has the time of its beginning, however it comes, and is not begun anew by what comes later.
func TestTimesOfPieces(t *testing.T) {
	l, dir := testLog(t)
	l.at(1, "one ")
	l.at(2, "more\ntwo")
	l.at(3, "\n")
	l.at(4, "three\n")
	var got bytes.Buffer
	if err := copyTimed(dir, &got, LogRange{Lines: -1, Stamps: true}); err != nil {
		t.Fatal(err)
	}
	want := ""
	for i, text := range []string{"one more\n", "two\n", "three\n"} {
		want += minute([]int{1, 2, 4}[i]).Format(stampLayout) + " " + text
	}
	if got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
}

// TestTimesAreFew: however much is printed, their file stays small.
func TestTimesAreFew(t *testing.T) {
	l, dir := testLog(t)
	now := time.Unix(0, 0)
	for range 200_000 { // over two months
		now = now.Add(time.Duration(rand.Int64N(int64(time.Minute))))
		if err := l.times.add(dir, 1<<40, now); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir + "/" + timesFile)
	if err != nil || info.Size() > 6<<20 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	year := time.Duration(0)
	lines := 0
	for ; year < 365*24*time.Hour; lines++ { // printed without a pause
		year += finer(lines)
	}
	if lines*len("[1763760000.123456,1099511627776]\n") > 130<<20 {
		t.Errorf("%d lines in a year", lines)
	}
}

// TestRecordWithoutTimes: of an earlier Coracle's output nobody knows when it was printed; of none, there is nothing to know.
func TestRecordWithoutTimes(t *testing.T) {
	dir := t.TempDir()
	var got bytes.Buffer
	if err := (View{Dir: dir}).CopyLog(context.Background(), &got, LogRange{Lines: -1, Stamps: true}); err != nil || got.Len() > 0 {
		t.Errorf("%q, %v", got.String(), err)
	}
	if err := fsx.WriteFile(partPath(dir, 0), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (View{Dir: dir}).CopyLog(context.Background(), &got, LogRange{Lines: -1, Since: minute(0)}); !errors.Is(err, ErrNoTimes) {
		t.Error(err)
	}
}
