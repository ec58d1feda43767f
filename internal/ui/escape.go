package ui

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s with everything that a terminal may act upon, or that may deceive the eye, shown as Go writes it: \n,
// \x1b, \u202e. These are control characters (C0 with ESC, CR and newline, DEL, C1 with the one-byte CSI and OSC), line
// separators, bidirectional and other invisible formatting, private characters, and bytes that are not UTF-8. The result
// has one line.
func Escape(s string) string {
	return escape(s, func(b *strings.Builder, raw string, _ rune) {
		quoted := strconv.Quote(raw)
		b.WriteString(quoted[1 : len(quoted)-1])
	})
}

// escapeJSON does the same inside JSON text, in which such characters stand in strings only, and keeps its meaning.
func escapeJSON(text string) string {
	return escape(text, func(b *strings.Builder, raw string, r rune) {
		switch {
		case r == '\n' || r == '\t': // between the values; in strings the encoder has escaped them
			b.WriteString(raw)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// isASCII reports whether s is of printable ASCII alone, as most that is printed.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// escape copies s and hands what is not printable to quote, as raw bytes and as the character they mean.
func escape(s string, quote func(b *strings.Builder, raw string, r rune)) string {
	if isASCII(s) {
		return s
	}
	clean := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if clean(r) || r == utf8.RuneError && n > 1 { // the replacement character itself is harmless
			b.WriteString(s[:n])
		} else {
			quote(&b, s[:n], r)
		}
		s = s[n:]
	}
	return b.String()
}
