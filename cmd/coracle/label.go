package main

import (
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/job"
)

// labelFlags are the flags of run that say what a run is to be found by.
func labelFlags() []cli.Flag {
	return []cli.Flag{
		&line.List{Name: "label", Aliases: []string{"l"}, Usage: "Give the run a label, `KEY[=VALUE]`, to find it by ('coracle runs --filter label=KEY')"},
		&cli.StringFlag{Name: "project", Usage: "Say which project `NAME` the run belongs to"},
	}
}

func labelOptions(c *cli.Context) (l job.Labels, err error) {
	l.Project = c.String("project")
	if !utf8.ValidString(l.Project) {
		return l, usagef(jobCommand, "--project %q is not UTF-8", l.Project)
	}
	for _, text := range line.Values(c, "label") {
		key, value, _ := strings.Cut(text, "=")
		if key == "" || !utf8.ValidString(text) {
			return l, usagef(jobCommand, "--label %q is no KEY or KEY=VALUE", text)
		}
		if l.Set == nil {
			l.Set = map[string]string{}
		}
		l.Set[key] = value
	}
	return l, nil
}
