package ui

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAsk(t *testing.T) {
	for answer, want := range map[string]bool{
		"y\n": true, "Y\n": true, "yes\n": true, " y \r\n": true, "y": true, "y\nn\n": true,
		"": false, "\n": false, "n\n": false, "yep\n": false, "\x00y\n": false, strings.Repeat(" ", 5000) + "y\n": false,
	} {
		var out, err bytes.Buffer
		p := New(&out, &err, func(string) string { return "" })
		got, failure := p.Ask(strings.NewReader(answer), "Remove %s? ", "a\x1b[2J")
		if got != want || failure != nil {
			t.Errorf("%q: %v, %v; want %v", answer, got, failure, want)
		}
		if question := err.String(); !strings.HasPrefix(question, `Remove a\x1b[2J? `) || out.Len() > 0 {
			t.Errorf("asked %q, and printed %q", question, out.String())
		}
	}
	broken := errors.New("broken")
	if yes, err := New(new(bytes.Buffer), new(bytes.Buffer), func(string) string { return "" }).Ask(iotest.ErrReader(broken), "?"); yes || !errors.Is(err, broken) {
		t.Errorf("%v, %v", yes, err)
	}
}
