package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
)

// Every command must say what it does and show how, in lines that fit a narrow terminal.
func TestHelpPages(t *testing.T) {
	app := newApp(ui.New(nil, nil, func(string) string { return "" }))
	var each func(path []*cli.Command, commands []*cli.Command)
	each = func(path []*cli.Command, commands []*cli.Command) {
		for _, c := range commands {
			path := append(slices.Clone(path), c)
			checkPage(t, app, path)
			each(path, c.Subcommands)
		}
	}
	checkPage(t, app, nil)
	each(nil, app.Commands)
}

func checkPage(t *testing.T, app *cli.App, path []*cli.Command) {
	t.Helper()
	var b strings.Builder
	if err := line.WriteHelp(&b, app, path); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if !strings.HasPrefix(text, "Usage:  coracle") || !strings.Contains(text, "\nExamples:\n  coracle ") || strings.Contains(text, "\n\n\n") {
		t.Errorf("page:\n%s", text)
	}
	for row := range strings.Lines(text) {
		if len(row) > line.HelpWidth+1 || strings.TrimRight(row, " \n")+"\n" != row || strings.ContainsRune(row, '\t') {
			t.Errorf("%d characters: %q", len(row)-1, row)
		}
	}
}
