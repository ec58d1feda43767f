package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docker/go-units"
)

// Size is a number of bytes in docker's decimal units: 74.8MB.
func Size(bytes int64) string {
	return scaled(bytes, 1000, []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"})
}

// Memory is a number of bytes in binary units, in which memory is counted: 31.9GiB.
func Memory(bytes int64) string {
	return scaled(bytes, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// scaled gives three digits, or all four of 1000 to 1023, and never an exponent.
func scaled(bytes int64, base float64, unit []string) string {
	v, i := float64(bytes), 0
	for v >= base-0.5 && i < len(unit)-1 {
		v /= base
		i++
	}
	if v >= 999.5 {
		return strconv.FormatFloat(v, 'f', 0, 64) + unit[i]
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + unit[i]
}

// Ago is the time since t in docker's words: 2 hours ago.
func Ago(now, t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return "N/A"
	}
	d := now.Sub(t)
	if d < time.Second { // or another machine's clock is ahead
		return "just now"
	}
	return strings.ToLower(units.HumanDuration(d)) + " ago"
}

// Duration is how long something took, to the precision that says something: 7ms, 0.12s, 4.1s, 2m05s, 1h02m, 3d04h.
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0s"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	switch h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60; {
	case h == 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	case h < 48:
		return fmt.Sprintf("%dh%02dm", h, m)
	default:
		return fmt.Sprintf("%dd%02dh", h/24, h%24)
	}
}

// AgoShort is the time since t where there is little room: 5m ago.
func AgoShort(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero() || t.Unix() <= 0:
		return "N/A"
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

// Shorten cuts text to a width in characters, with an ellipsis where something is missing.
func Shorten(s string, width int) string {
	if fits(s, width) {
		return s
	}
	return s[:after(s, width-1)] + "…"
}

// shortenFront is Shorten at the other end.
func shortenFront(s string, width int) string {
	if fits(s, width) {
		return s
	}
	return "…" + s[after(s, utf8.RuneCountInString(s)-width+1):]
}

// fits reports whether text is not to be cut.
func fits(s string, width int) bool {
	return width < 1 || len(s) <= width || utf8.RuneCountInString(s) <= width
}

// after is where a text goes on after so many characters.
func after(s string, n int) int {
	at := 0
	for ; n > 0; n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}
