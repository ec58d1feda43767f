package terminal

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestPass(t *testing.T) {
	gone := errors.New("gone")
	for _, c := range []struct {
		name, passed string
		from         io.Reader
		left         bool
		err          error
	}{
		{"to its end", "text", strings.NewReader("text"), false, nil},
		{"the beginning of the keys at the end", "text\x10", strings.NewReader("text\x10"), false, nil},
		{"the keys", "text", strings.NewReader("text\x10\x11more"), true, nil},
		{"byte by byte", "a\x10b", iotest.OneByteReader(strings.NewReader("a\x10b\x10\x11c")), true, nil},
		{"a terminal that is gone", "text\x10", io.MultiReader(strings.NewReader("text\x10"), iotest.ErrReader(gone)), false, gone},
	} {
		keys, err := ParseKeys(DefaultKeys)
		if err != nil {
			t.Fatal(err)
		}
		var to strings.Builder
		left, err := Pass(&to, c.from, keys)
		if to.String() != c.passed || left != c.left || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v, %v", c.name, to.String(), left, err)
		}
	}
}
