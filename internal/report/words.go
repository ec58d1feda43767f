package report

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// CommandLine is a command as one would type it.
func CommandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		words[i] = Quote(arg)
	}
	return strings.Join(words, " ")
}

// Quote quotes a word for a shell where it needs it; what cannot be seen as bash and zsh take it, $'\n'.
func Quote(word string) string {
	switch {
	case meansItself(word):
		return word
	case !utf8.ValidString(word) || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) }):
		quoted := strconv.Quote(word)
		return "$'" + strings.NewReplacer(`\\`, `\\`, `\"`, `"`, `'`, `\'`).Replace(quoted[1:len(quoted)-1]) + "'"
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// meansItself reports whether a word means itself to all shells.
func meansItself(word string) bool {
	for i := range len(word) {
		switch c := word[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("@%+=:,./_-", c) >= 0:
		default:
			return false
		}
	}
	return word != ""
}

// Words are how a page puts numbers and text: the caller prints, and knows how.
type Words struct {
	Escape   func(string) string // makes text of strangers harmless for the eye and for terminals
	Memory   func(int64) string  // 31.9GiB
	Size     func(int64) string  // 412GB
	Duration func(time.Duration) string
	Time     func(time.Time) string
}

// sequences are those by which programs colour what they print, move about in it and name their windows (ECMA-48, 5.4 and 5.6).
var sequences = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]")
})

// plain takes such sequences out of a text. What is left may still be hostile.
func plain(text string) string { return sequences().ReplaceAllString(text, "") }
