package man

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
)

// Page is what there is to say of the program or of one command.
type Page struct {
	Words    []string // coracle, runs, show
	Brief    string
	Usage    string
	Text     []Block // of the description, before its sections
	Options  []Option
	Commands []Page
	Sections []Section // Examples, Exit codes, Files, as they are in the description
}

// Option is an option of a command.
type Option struct {
	Names          []string // with their dashes, the letter first
	Value, Text    string
	Default, Other string // "" for none; Other is how it is set for good
}

// Section is a part of a description with a heading.
type Section struct {
	Title string
	Text  []Block
}

// Block is a paragraph, or lines that stand as they are.
type Block struct {
	Literal bool
	Lines   []string
}

// Setter tells how an option of a command can be set for good; "" for not at all.
type Setter func(command, option string) string

// Of is the page of the program, with those of all commands that people use.
func Of(app *cli.App, set Setter) Page {
	p := Page{Words: []string{line.Program}, Brief: app.Usage, Usage: app.UsageText, Options: options("", app.Flags, set), Commands: pages([]string{line.Program}, app.Commands, set)}
	p.describe(app.Description)
	return p
}

func pages(above []string, commands []*cli.Command, set Setter) (list []Page) {
	for _, c := range commands {
		if c.Hidden {
			continue
		}
		words := append(slices.Clone(above), c.Name)
		name := strings.Join(words[1:], " ")
		p := Page{Words: words, Brief: c.Usage, Options: options(name, c.Flags, set), Commands: pages(words, c.Subcommands, set)}
		p.Usage = strings.Join(words, " ")
		if len(c.Flags) > 0 {
			p.Usage += " [OPTIONS]"
		}
		p.Usage = line.Join(p.Usage, c.ArgsUsage)
		p.describe(c.Description)
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Page) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// Name is that of the page: coracle-runs-show.
func (p Page) Name() string { return strings.Join(p.Words, "-") }

// All are the page and those below it.
func (p Page) All() []Page {
	all := []Page{p}
	for _, c := range p.Commands {
		all = append(all, c.All()...)
	}
	return all
}

// options are those that people use.
func options(command string, flags []cli.Flag, set Setter) (list []Option) {
	for _, f := range flags {
		names := line.FlagNames(f)
		if len(names) == 0 {
			continue
		}
		slices.SortStableFunc(names, func(a, b string) int { return letters(b) - letters(a) })
		o := Option{Names: names, Other: set(command, f.Names()[0])}
		o.Value, o.Text = line.Value(f)
		if d, ok := f.(cli.DocGenerationFlag); ok && !strings.Contains(o.Text, "default") {
			if v := strings.Trim(d.GetValue(), `"`); v != "false" && v != "0" {
				o.Default = v
			}
		}
		if o.Value == "" && line.TakesValue(f) {
			o.Value = "VALUE"
		}
		list = append(list, o)
	}
	return list
}

func letters(name string) int {
	if len(name) == 2 {
		return 1
	}
	return 0
}

// usual is what commands end with that say nothing else.
const usual = "  0      it was done\n  125    it was not, or the command line has a mistake: the reason is told"

// describe takes a description apart.
func (p *Page) describe(text string) {
	var section *Section
	var block []string
	add := func(b []Block) {
		if section == nil {
			p.Text = append(p.Text, b...)
		} else {
			section.Text = append(section.Text, b...)
		}
	}
	flush := func() {
		add(blocks(block))
		block = nil
	}
	rows := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, row := range rows {
		title, isTitle := strings.CutSuffix(row, ":")
		if isTitle && i+1 < len(rows) && strings.HasPrefix(rows[i+1], "  ") && (i == 0 || rows[i-1] == "") && len(title) < 24 {
			flush()
			p.Sections = append(p.Sections, Section{Title: title})
			section = &p.Sections[len(p.Sections)-1]
			continue
		}
		if section != nil && row != "" && !strings.HasPrefix(row, " ") { // text goes on behind a section
			flush()
			section = nil
		}
		block = append(block, row)
	}
	flush()
	if !slices.ContainsFunc(p.Sections, func(s Section) bool { return strings.HasPrefix(s.Title, "Exit") }) {
		p.Sections = append(p.Sections, Section{"Exit codes", blocks(strings.Split(usual, "\n"))})
	}
}

// blocks are paragraphs and literal lines.
func blocks(rows []string) (list []Block) {
	for _, row := range rows {
		literal := strings.HasPrefix(row, " ")
		last := len(list) - 1
		switch {
		case row == "" && last >= 0 && len(list[last].Lines) > 0:
			list = append(list, Block{})
		case row == "":
		case last >= 0 && (len(list[last].Lines) == 0 || list[last].Literal == literal):
			list[last].Literal = literal
			list[last].Lines = append(list[last].Lines, row)
		default:
			list = append(list, Block{literal, []string{row}})
		}
	}
	return slices.DeleteFunc(list, func(b Block) bool { return len(b.Lines) == 0 })
}

// about is what an option does, with its default and how it is set for good.
func (o Option) about() string {
	text := strings.TrimSuffix(o.Text, ".")
	if o.Default != "" {
		text += fmt.Sprintf(" (default: %s)", o.Default)
	}
	if o.Other != "" {
		text += "; " + o.Other
	}
	return text
}
