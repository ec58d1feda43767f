package ui

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// barWidth bounds a bar: longer ones say no more.
const barWidth = 50

// bars are the lines of the layers that are on their way, as many as fit, and one of the whole; none is wider than width.
func (pr *Progress) bars(width, height int) []string {
	now := pr.now()
	whole := pr.total(now)
	var names []string
	var active []cells
	waiting := false
	for _, l := range pr.layers {
		if !l.active {
			continue
		}
		waiting = true
		if c := l.cells(now); c.here > 0 || c.files > 0 { // else it waits for a connection
			names, active = append(names, l.id), append(active, c)
		}
	}
	switch {
	case width < 1 || height < 1:
		return nil
	case len(active) == 0 && waiting:
		return []string{whole.bar("total", width)}
	case len(active) == 0 && pr.status != "":
		return []string{Shorten(pr.status, width)}
	case len(active) == 0:
		return nil
	}
	if height == 1 {
		return []string{whole.bar("total", width)}
	}
	lines := make([]string, 0, len(active)+1)
	for i, c := range active {
		if i == height-2 && len(active) > height-1 {
			lines = append(lines, Shorten(fmt.Sprintf("... and %d more", len(active)-i), width))
			break
		}
		lines = append(lines, c.bar(names[i], width))
	}
	return append(lines, whole.bar("total", width))
}

// cells are what a line says: of a layer, or of all.
type cells struct {
	here, total, packed, files int64
	rate                       float64 // bytes a second
	left                       time.Duration
}

// cells are those of the layer now.
func (l *layer) cells(now time.Time) cells {
	c := cells{here: l.here(), total: max(l.total, l.here()), packed: l.packed, files: l.files}
	c.rate, c.left = l.speeds.add(now, c, l.read)
	return c
}

// total are those of all layers.
func (pr *Progress) total(now time.Time) cells {
	var c cells
	var read int64
	for _, l := range pr.layers {
		c.here, c.total, c.files, read = c.here+l.here(), c.total+max(l.total, l.here()), c.files+l.files, read+l.read
		if c.packed += l.packed; l.ended {
			c.packed += max(0, l.here()-l.packed)
		}
	}
	c.rate, c.left = pr.whole.add(now, c, read)
	return c
}

// unpacking reports whether all has come, and unpacking has still some way to go.
func (c cells) unpacking() bool {
	return c.total > 0 && c.here == c.total && c.packed > 0 && c.packed < c.total
}

const (
	nameWidth    = 12
	percentWidth = len(" 100%")
	countsWidth  = len(" 99.9MB/99.9MB")
	leastBar     = 8
)

// tails are the cells behind the counts, with their widths, in the order in which they are given up.
func (c cells) tails() []string {
	rate, left, files := "", "", ""
	if c.rate > 0 {
		rate = Size(int64(c.rate)) + "/s"
	}
	if c.left > 0 {
		left = wholeSeconds(c.left) + " left"
	}
	if c.files > 0 {
		files = fmt.Sprintf("%d files", c.files)
	}
	return []string{fmt.Sprintf("  %8s", rate), fmt.Sprintf("  %11s", left), fmt.Sprintf("  %12s", files)}
}

// counts are the bytes.
func (c cells) counts() string {
	if c.unpacking() {
		return "unpacking"
	}
	return Size(c.here) + "/" + Size(c.total)
}

// share is how far it is, from 0 to 1.
func (c cells) share() float64 {
	done := c.here
	if c.unpacking() {
		done = c.packed
	}
	if c.total == 0 {
		return 0
	}
	return min(1, float64(done)/float64(c.total))
}

// bar is one line: name, bar, percentage, bytes, rate, time left, files. All lines of one width have their bars in the same
// place. What does not fit is left out: first what comes last, then the bar, then the bytes.
func (c cells) bar(name string, width int) string {
	percent := strings.Repeat(" ", percentWidth)
	if c.total > 0 {
		percent = fmt.Sprintf(" %3d%%", int(100*c.share()))
	}
	name = fmt.Sprintf("%-*s", nameWidth, name)
	counts := fmt.Sprintf("%*s", countsWidth, c.counts())
	tails := c.tails()
	room := width - utf8.RuneCountInString(name+percent+counts) - len(" []")
	if room < leastBar {
		if room < -len(" []") {
			return Shorten(name+percent, width)
		}
		return name + percent + counts
	}
	used := 0
	for used < len(tails) && room-utf8.RuneCountInString(tails[used]) >= leastBar {
		room -= utf8.RuneCountInString(tails[used])
		used++
	}
	line := name + " " + drawBar(c.share(), min(room, barWidth)) + percent + counts + strings.Join(tails[:used], "")
	return strings.TrimRight(line, " ")
}

// sentence is the same where there are no bars.
func (c cells) sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "total: %d%%, %s", int(100*c.share()), c.counts())
	for _, tail := range c.tails() {
		if tail = strings.TrimSpace(tail); tail != "" {
			b.WriteString(", " + tail)
		}
	}
	return b.String()
}

// wholeSeconds is a Duration without tenths, which would only flicker.
func wholeSeconds(d time.Duration) string {
	return strings.Replace(Duration(d.Truncate(time.Second)), ".0s", "s", 1)
}

// speeds are how fast bytes come in and are unpacked.
type speeds struct{ read, packed rate }

// add takes note of how things are, and returns the rate at which bytes come in, or once they are all here are unpacked, and
// the time left at it.
func (s *speeds) add(now time.Time, c cells, read int64) (perSecond float64, left time.Duration) {
	s.read.add(now, read)
	s.packed.add(now, c.packed)
	perSecond = s.read.perSecond()
	missing := c.total - c.here
	if c.unpacking() {
		perSecond, missing = s.packed.perSecond(), c.total-c.packed
	}
	if seconds := float64(missing) / perSecond; perSecond > 0 && seconds >= 1 && seconds < 1e6 {
		left = time.Duration(seconds * float64(time.Second))
	}
	return perSecond, left
}

// drawBar is a bar of width characters between its ends.
func drawBar(share float64, width int) string {
	full := int(share * float64(width))
	if full >= width {
		return "[" + strings.Repeat("=", width) + "]"
	}
	return "[" + strings.Repeat("=", full) + ">" + strings.Repeat(" ", width-full-1) + "]"
}

// rate is the speed over the last seconds: a mean since the beginning lags behind a stall, a difference of two frames jumps.
type rate struct {
	samples []sample // oldest first, over at most rateWindow
}

type sample struct {
	at    time.Time
	bytes int64
}

const rateWindow = 5 * time.Second

func (r *rate) add(now time.Time, bytes int64) {
	r.samples = append(r.samples, sample{now, bytes})
	for len(r.samples) > 2 && now.Sub(r.samples[0].at) > rateWindow {
		r.samples = r.samples[1:]
	}
}

// perSecond is 0 while too little is known.
func (r *rate) perSecond() float64 {
	if len(r.samples) < 2 {
		return 0
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	elapsed := last.at.Sub(first.at)
	if elapsed < time.Second/2 || last.bytes <= first.bytes {
		return 0
	}
	return float64(last.bytes-first.bytes) / elapsed.Seconds()
}
