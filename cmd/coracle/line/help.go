package line

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// examples is where a description goes on after the flags: what a command does is read before them, how it is used after.
const examples = "\nExamples:\n"

// WriteHelp writes the help page of the program, or of the command at the end of path.
func WriteHelp(w io.Writer, app *cli.App, path []*cli.Command) error {
	page := page{usage: app.UsageText, brief: app.Usage, description: app.Description, flags: app.Flags, commands: app.Commands}
	if len(path) > 0 {
		c := path[len(path)-1]
		words := []string{Program}
		for _, c := range path {
			words = append(words, c.Name)
		}
		page = pageOf(c, strings.Join(words, " "))
	}
	_, err := io.WriteString(w, page.String())
	return err
}

// page is what a help page is made of.
type page struct {
	usage, brief, description string
	flags                     []cli.Flag
	commands                  []*cli.Command
}

func pageOf(c *cli.Command, name string) page {
	usage := name
	if len(c.Flags) > 0 {
		usage += " [OPTIONS]"
	}
	return page{Join(usage, c.ArgsUsage), c.Usage, c.Description, c.Flags, c.Subcommands}
}

func (p page) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:  %s\n\n%s\n", p.usage, p.brief)
	before, after, hasExamples := strings.Cut("\n"+strings.Trim(p.description, "\n")+"\n", examples)
	if text := strings.Trim(before, "\n"); text != "" {
		fmt.Fprintf(&b, "\n%s\n", text)
	}
	if rows := commandRows(p.commands); len(rows) > 0 {
		b.WriteString("\nCommands:\n" + columns(rows))
	}
	if rows := flagRows(p.flags); len(rows) > 0 {
		b.WriteString("\nOptions:\n" + columns(rows))
	}
	if hasExamples {
		b.WriteString(examples + strings.TrimRight(after, "\n") + "\n")
	}
	return b.String()
}

func commandRows(commands []*cli.Command) [][2]string {
	var rows [][2]string
	for _, c := range commands {
		if !c.Hidden {
			rows = append(rows, [2]string{c.Name, c.Usage})
		}
	}
	return rows
}

// quoted is the word in a flag's usage that stands for its value.
var quoted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("`([^`]+)`") })

func flagRows(flags []cli.Flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if v, canHide := f.(cli.VisibleFlag); !ok || canHide && !v.IsVisible() {
			continue
		}
		usage, value := d.GetUsage(), ""
		if m := quoted().FindStringSubmatch(usage); m != nil && d.TakesValue() {
			value = " " + m[1]
			usage = strings.Replace(usage, m[0], m[1], 1)
		}
		rows = append(rows, [2]string{flagNames(f) + value, usage})
	}
	return rows
}

// flagNames is "-q, --quiet", with the long name in one column for all.
func flagNames(f cli.Flag) string {
	short, long := "    ", ""
	for _, name := range f.Names() {
		switch {
		case len(name) == 1:
			short = "-" + name + ", "
		case long == "":
			long = "--" + name
		}
	}
	if long == "" {
		return strings.TrimSuffix(short, ", ")
	}
	return short + long
}

// HelpWidth is the width of a help page: of a terminal of the narrowest kind in use, so that nothing depends on it.
const HelpWidth = 80

// columns lays out names and what they mean. A long name has its text on the next line; text is broken into lines.
func columns(rows [][2]string) string {
	const most = 26
	width := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= most {
			width = max(width, n)
		}
	}
	indent := "\n" + strings.Repeat(" ", width+5)
	var b strings.Builder
	for _, row := range rows {
		text := strings.Join(wrap(row[1], HelpWidth-len(indent)+1), indent)
		if utf8.RuneCountInString(row[0]) > width {
			fmt.Fprintf(&b, "  %s%s%s\n", row[0], indent, text)
			continue
		}
		fmt.Fprintf(&b, "  %-*s   %s\n", width, row[0], text)
	}
	return b.String()
}

// wrap breaks text into lines of at most width characters, at spaces.
func wrap(text string, width int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last]+" "+word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
