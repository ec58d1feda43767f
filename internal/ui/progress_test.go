package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// screen is as much of a terminal as progress bars need: it wraps long lines and never scrolls back.
type screen struct {
	t           *testing.T
	width       int
	lines       [][]rune
	row, column int
}

func (s *screen) write(text string) {
	for len(text) > 0 {
		switch {
		case strings.HasPrefix(text, "\x1b[K"):
			s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
			text = text[3:]
			continue
		case strings.HasPrefix(text, "\x1b[J"):
			s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
			s.lines = s.lines[:s.row+1]
			text = text[3:]
			continue
		case strings.HasPrefix(text, "\x1b["):
			var n int
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil {
				s.t.Fatalf("unknown sequence in %q", text)
			}
			if s.row -= n; s.row < 0 {
				s.t.Fatalf("the cursor leaves the screen: %q", text)
			}
			text = text[strings.IndexByte(text, 'A')+1:]
			continue
		}
		r, n := utf8.DecodeRuneInString(text)
		text = text[n:]
		s.put(r)
	}
}

func (s *screen) put(r rune) {
	switch {
	case r == '\r':
		s.column = 0
		return
	case r == '\n' || s.column == s.width:
		s.row, s.column = s.row+1, 0
	}
	for s.row >= len(s.lines) {
		s.lines = append(s.lines, nil)
	}
	if r == '\n' {
		return
	}
	line := s.lines[s.row]
	for len(line) <= s.column {
		line = append(line, ' ')
	}
	line[s.column] = r
	s.lines[s.row] = line
	s.column++
}

func (s *screen) String() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// clock is a time that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// drawn returns a display that is drawn by hand; it believes in a terminal.
func drawn() (*Progress, *clock) {
	c := &clock{time.Unix(1e9, 0)}
	pr := newProgress(stream{Writer: new(bytes.Buffer)}, None, "Resolving x", c.now)
	pr.style = Auto
	pr.err.file = os.Stdin // never written to
	return pr, c
}

func digestOf(i int) string { return fmt.Sprintf("sha256:%012x%052x", i, i) }

func TestBarsAtSeveralWidths(t *testing.T) {
	want := map[int]string{
		200: "" +
			"Pulling docker.io/library/debian:12 (aaaaaaaaaaaa)\n" +
			"111111111111: already here, 500kB\n" +
			"222222222222 [=========================>                        ]  50% 12.3MB/24.6MB  12.3MB/s      1s left    1234 files\n" +
			"total        [>                                                 ]   1% 12.3MB/1.02GB  12.3MB/s   1m22s left    1234 files\n",
		80: "" +
			"Pulling docker.io/library/debian:12 (aaaaaaaaaaaa)\n" +
			"111111111111: already here, 500kB\n" +
			"222222222222 [====>   ]  50% 12.3MB/24.6MB  12.3MB/s      1s left    1234 files\n" +
			"total        [>       ]   1% 12.3MB/1.02GB  12.3MB/s   1m22s left    1234 files\n",
		70: "" +
			"Pulling docker.io/library/debian:12 (aaaaaaaaaaaa)\n" +
			"111111111111: already here, 500kB\n" +
			"222222222222 [======>     ]  50% 12.3MB/24.6MB  12.3MB/s      1s left\n" +
			"total        [>           ]   1% 12.3MB/1.02GB  12.3MB/s   1m22s left\n",
		40: "" +
			"Pulling docker.io/library/debian:12 (aaa\naaaaaaaaa)\n" +
			"111111111111: already here, 500kB\n" +
			"222222222222  50% 12.3MB/24.6MB\n" +
			"total          1% 12.3MB/1.02GB\n",
	}
	for width, want := range want {
		pr, c := drawn()
		s := &screen{t: t, width: width, lines: make([][]rune, 1)}
		s.write(pr.frame(width, 24))
		if got := s.String(); got != "Resolving x\n" {
			t.Errorf("before: %q", got)
		}
		pr.Resolved("docker.io/library/debian:12", "sha256:"+strings.Repeat("a", 64))
		pr.LayerExists("sha256:"+strings.Repeat("1", 64), 500_000)
		pr.LayerStarted("sha256:"+strings.Repeat("2", 64), 24_600_000)
		pr.LayerStarted("sha256:"+strings.Repeat("3", 64), 1_000_000_000)
		s.write(pr.frame(width, 24))
		c.t = c.t.Add(time.Second)
		pr.LayerRead("sha256:"+strings.Repeat("2", 64), 12_300_000)
		pr.LayerUnpacked("sha256:"+strings.Repeat("2", 64), 12_000_000, 1234)
		s.write(pr.frame(width, 24))
		if got := s.String(); got != want {
			t.Errorf("width %d:\n%s\nwant\n%s", width, got, want)
		}
	}
}

// Whatever happens in whatever order on whatever terminal: no line wraps, the bars go, and every layer leaves one line.
func TestBarsLeaveNoGarbage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, width := range []int{1, 10, 20, 33, 40, 80, 200} {
		for _, height := range []int{1, 2, 3, 5, 24} {
			pr, c := drawn()
			pr.status = ""
			s := &screen{t: t, width: max(width, 60), lines: make([][]rune, 1)}
			const n = 30
			for i := range n {
				pr.LayerStarted(digestOf(i), random.Int64N(1e10))
			}
			for i := range n {
				for range 5 {
					c.t = c.t.Add(frameTime)
					pr.LayerRead(digestOf(random.IntN(n)), random.Int64N(1e9))
					for _, line := range pr.bars(width-1, height-1) {
						if utf8.RuneCountInString(line) >= width {
							t.Fatalf("%dx%d: %q is too long", width, height, line)
						}
					}
					if bars := pr.bars(width-1, height-1); len(bars) >= height {
						t.Fatalf("%dx%d: %d lines", width, height, len(bars))
					}
					s.write(pr.frame(width, height))
				}
				pr.LayerDone(digestOf(i))
			}
			s.write(pr.frame(width, height))
			lines := strings.Split(strings.TrimSpace(s.String()), "\n")
			if len(lines) != n {
				t.Fatalf("%dx%d: %d lines left:\n%s", width, height, len(lines), s)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, short(digestOf(i))+": done, ") {
					t.Errorf("%dx%d: %q", width, height, line)
				}
			}
		}
	}
}

func TestPlainLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1e9, 0)}
	pr := newProgress(stream{Writer: &out}, Plain, "Resolving x", c.now)
	a, b := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	pr.Resolved("evil\x1b[2J/x:1", "not a digest\x07")
	pr.LayerExists(b, 10)
	pr.LayerStarted(a, 24_600_000)
	for range 100 {
		pr.LayerRead(a, 246_000)
	}
	c.t = c.t.Add(1200 * time.Millisecond)
	pr.LayerDone(a)
	pr.LayerDone(a)
	pr.Close()
	pr.Close()
	want := "" +
		"Pulling evil\\x1b[2J/x:1 (not a digest)\n" +
		"bbbbbbbbbbbb: already here, 10B\n" +
		"aaaaaaaaaaaa: fetching 24.6MB\n" +
		"aaaaaaaaaaaa: done, 24.6MB in 1.2s\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRate(t *testing.T) {
	var r rate
	start := time.Unix(1e9, 0)
	for i := range 200 { // 1 MB/s for ten seconds, then ten seconds of nothing
		r.add(start.Add(time.Duration(i)*frameTime), int64(min(i, 100))*100_000)
		if i == 99 && r.perSecond() != 1e6 {
			t.Errorf("steady: %v", r.perSecond())
		}
	}
	if r.perSecond() != 0 {
		t.Errorf("stalled: %v", r.perSecond())
	}
}

// The total is known before the first layer begins; what was here before has no rate; at the end unpacking is what is awaited.
func TestProgressOfAResumedPull(t *testing.T) {
	pr, c := drawn()
	pr.status = ""
	a, b := digestOf(1), digestOf(2)
	pr.LayerPlanned(a, 100_000_000)
	pr.LayerPlanned(b, 50_000_000)
	last := func() string {
		lines := pr.bars(79, 20)
		return lines[len(lines)-1]
	}
	pr.LayerStarted(a, 100_000_000)
	pr.LayerResumed(a, 90_000_000)
	last()
	for range 20 {
		c.t = c.t.Add(frameTime)
		pr.LayerRead(a, 100_000)
		pr.LayerUnpacked(a, 1_000_000, 10)
		last()
	}
	if got, want := last(), "total        [====>   ]  61%    92MB/150MB     1MB/s     58s left     200 files"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	pr.LayerStarted(b, 50_000_000)
	pr.LayerRead(b, 50_000_000)
	pr.LayerUnpacked(b, 50_000_000, 5)
	pr.LayerDone(b)
	pr.LayerRead(a, 8_000_000)
	for range 80 {
		c.t = c.t.Add(frameTime)
		pr.LayerUnpacked(a, 500_000, 10)
		last()
	}
	want := "total        [=====>  ]  73%     unpacking     5MB/s      8s left    1005 files"
	if got := last(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestProgressAsJSON(t *testing.T) {
	var out bytes.Buffer
	c := &clock{time.Unix(1e9, 0)}
	pr := newProgress(stream{Writer: &out}, JSON, "Resolving x", c.now)
	a := digestOf(1)
	pr.Resolved("x\x1b[2J\u2028:1", digestOf(0))
	pr.LayerPlanned(a, 1000)
	pr.LayerStarted(a, 1000)
	pr.emitProgress()
	c.t = c.t.Add(time.Second)
	pr.LayerRead(a, 500)
	pr.LayerUnpacked(a, 400, 3)
	pr.emitProgress()
	pr.Note("a note")
	pr.LayerDone(a)
	pr.emitProgress() // nothing is on its way
	pr.Close()
	var kinds []string
	for line := range strings.Lines(out.String()) {
		if strings.ContainsAny(strings.TrimSpace(line), "\x1b\n\u2028") {
			t.Errorf("%q can do something to a terminal", line)
		}
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, strings.TrimSuffix(e.Event+"/"+e.State, "/"))
		if e.Event == "progress" && e.Bytes == 500 &&
			(e.Total != 1000 || e.Files != 3 || e.Packed != 400 || e.Rate != 500 || e.Left != 1 || len(e.Layers) != 1 || e.Layers[0].Digest != a) {
			t.Errorf("%s", line)
		}
	}
	want := "resolved layer/planned layer/started progress progress note layer/done"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNoProgress(t *testing.T) {
	var out bytes.Buffer
	pr := newProgress(stream{Writer: &out}, None, "Resolving x", time.Now)
	pr.Resolved("x", digestOf(0))
	pr.LayerStarted(digestOf(1), 1)
	pr.LayerDone(digestOf(1))
	pr.Note("a note")
	pr.Close()
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}
