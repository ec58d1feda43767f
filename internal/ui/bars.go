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
	var done, total int64
	var active []*layer
	for _, l := range pr.layers {
		done, total = done+l.done, total+max(l.total, l.done)
		if !l.ended {
			active = append(active, l)
		}
	}
	switch {
	case width < 1 || height < 1:
		return nil
	case len(active) == 0 && pr.status != "":
		return []string{Shorten(pr.status, width)}
	case len(active) == 0:
		return nil
	}
	whole := pr.whole(done, total, width)
	if height == 1 {
		return []string{whole}
	}
	lines := make([]string, 0, len(active)+1)
	for i, l := range active {
		if i == height-2 && len(active) > height-1 {
			lines = append(lines, Shorten(fmt.Sprintf("... and %d more", len(active)-i), width))
			break
		}
		lines = append(lines, bar(l.id+": ", l.done, l.total, "", width))
	}
	return append(lines, whole)
}

// whole is the line of all layers together, with rate and remaining time.
func (pr *Progress) whole(done, total int64, width int) string {
	now := pr.now()
	pr.rate.add(now, done)
	tail := ""
	if perSecond := pr.rate.perSecond(); perSecond > 0 {
		tail = fmt.Sprintf("  %s/s", Size(int64(perSecond)))
		if left := float64(total-done) / perSecond; left >= 1 && left < 1e6 {
			d := time.Duration(left) * time.Second
			tail += "  " + strings.Replace(Duration(d), ".0s", "s", 1) + " left"
		}
	}
	return bar("       total: ", done, total, tail, width)
}

const (
	countsWidth = len("  99.9MB/99.9MB")
	tailWidth   = len("  99.9MB/s  59m59s left")
)

// bar is one line: name, bar, percentage, bytes, and what comes after. All lines of one width have their bars in the same
// place. What does not fit is left out: first the tail, then the bar, then the bytes.
func bar(name string, done, total int64, tail string, width int) string {
	share, percent := 0.0, "    "
	if total > 0 {
		share = min(1, float64(done)/float64(total))
		percent = fmt.Sprintf("%3d%%", int(100*share))
	}
	counts := fmt.Sprintf("%*s", countsWidth, Size(done)+"/"+Size(total))
	room := width - utf8.RuneCountInString(name+percent+counts) - len("[] ")
	const least = 10
	switch {
	case room >= least+tailWidth:
		return Shorten(name+drawBar(share, min(room-tailWidth, barWidth))+" "+percent+counts+tail, width)
	case room >= least:
		return name + drawBar(share, room) + " " + percent + counts
	case room >= -len("[] "):
		return name + percent + counts
	default:
		return Shorten(name+percent, width)
	}
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
