package ui

import (
	"strings"
	"testing"
)

func TestChecklist(t *testing.T) {
	l := Checklist{Items: []Item{
		{Mark: Fine, State: "ok", Name: "kernel", Text: "it is new"},
		{Mark: Bad, State: "failure", Name: "disk", Text: "there is no room for anything at all", Below: []string{"jobs end with an error", "fix (you): \x1b[2J"}},
	}}
	plain := func(_, text string) string { return text }
	const want = `ok       kernel  it is new
failure  disk    there is no room for anything at all
                 jobs end with an error
                 fix (you): \x1b[2J
`
	if got := l.render(0, plain); got != want {
		t.Errorf("%s", got)
	}
	const narrow = `ok       kernel  it is new
failure  disk    there is no room for anything
                 at all
                 jobs end with an error
                 fix (you): \x1b[2J
`
	if got := l.render(47, plain); got != narrow {
		t.Errorf("%s", got)
	}
	colours := l.render(0, stream{color: true}.style)
	if !strings.HasPrefix(colours, "\x1b[32mok\x1b[0m       kernel  it") || !strings.Contains(colours, "\x1b[1;31mfailure\x1b[0m  disk") {
		t.Errorf("%q", colours)
	}
}
