package terminal

import (
	"errors"
	"testing"
)

func TestParseKeys(t *testing.T) {
	for text, want := range map[string]string{
		DefaultKeys: "\x10\x11", "a": "a", "Z": "Z", "ctrl-@": "\x00", "ctrl-[": "\x1b", "ctrl-_,x": "\x1fx", "": "", "[": "[", "ctrl-z": "\x1a",
	} {
		if k, err := ParseKeys(text); err != nil || string(k.sequence) != want {
			t.Errorf("%q: %q, %v", text, k.sequence, err)
		}
	}
	for _, text := range []string{",", "a,", "ab", "ctrl-", "ctrl-A", "ctrl-pp", "ctrl-é", "é", "1", "ctrl-p;ctrl-q", " "} {
		if k, err := ParseKeys(text); !errors.Is(err, ErrKeys) {
			t.Errorf("%q: %q, %v", text, k.sequence, err)
		}
	}
}

// TestRest: what was held back is not lost when nothing follows it.
func TestRest(t *testing.T) {
	k, err := ParseKeys("a,b,c")
	if err != nil {
		t.Fatal(err)
	}
	passed, _ := k.next([]byte("xab"))
	if rest := k.rest(); string(passed) != "x" || string(rest) != "ab" || len(k.rest()) > 0 {
		t.Errorf("%q, then %q", passed, rest)
	}
}

// TestKeys: what is typed reaches the job but for the sequence, whichever way it comes in pieces.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		keys, typed, passed string
		found               bool
	}{
		{DefaultKeys, "ls\r", "ls\r", false},
		{DefaultKeys, "ls\r\x10\x11", "ls\r", true},
		{DefaultKeys, "\x10x\x11", "\x10x\x11", false},
		{DefaultKeys, "\x10\x10\x11", "\x10", true},
		{DefaultKeys, "\x11\x10", "\x11", false},
		{DefaultKeys, "a\x10\x11after", "a", true},
		{"", "\x10\x11", "\x10\x11", false},
		{"a", "bcab", "bc", true},
		{"a,a,b", "aaab", "a", true},
		{"a,b,a,c", "ababac", "ab", true},
		{"a,b,a,c", "abax", "abax", false},
	} {
		for size := 1; size <= len(c.typed); size++ {
			k, err := ParseKeys(c.keys)
			if err != nil {
				t.Fatal(err)
			}
			passed, found := "", false
			for rest := c.typed; len(rest) > 0 && !found; {
				n := min(size, len(rest))
				var some []byte
				some, found = k.next([]byte(rest[:n]))
				passed, rest = passed+string(some), rest[n:]
			}
			if passed != c.passed || found != c.found {
				t.Errorf("%q in %q by %d: %q, %v", c.keys, c.typed, size, passed, found)
			}
		}
	}
}
