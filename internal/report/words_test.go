package report

import (
	"os/exec"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "plain-1.0": "plain-1.0", "two words": "'two words'", "it's": `'it'\''s'`, `back\slash`: `'back\slash'`, "$HOME": "'$HOME'",
		"a\nb": `$'a\nb'`, "\x1b[2J": `$'\x1b[2J'`, "\xff'\"\\\n": `$'\xff\'"\\\n'`, "é": "'é'", "\u202e": `$'\u202e'`,
	} {
		if got := Quote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

// What is printed means the same to a shell.
func TestQuoteForShell(t *testing.T) {
	bash := need.Tool(t, "bash")
	for _, word := range []string{"two words", "it's", `\"'\\'"$(x)`, "a\nb\t'\"\\", "\x01\x02\xfe\xffg", "!$`*?[~#"} {
		out, err := exec.Command(bash, "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: %q, %v", word, out, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[1;31mred\x1b[0m": "red", "\x1b]0;title\x07x": "x", "\x1b]8;;http://x\x1b\\link": "link", "\x1b(Bx": "x", "a\x1b": "a\x1b", "100%\r": "100%\r",
	} {
		if got := plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
