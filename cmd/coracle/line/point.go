package line

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Point is a place in an unfinished command line at which something is to be completed. Mistakes before it are passed over.
type Point struct {
	Path      []*cli.Command // the command so far
	Commands  []*cli.Command // of which one may come here
	Flags     []cli.Flag     // which may come here
	Flag      cli.Flag       // whose value is to be completed; nil: none
	Lead      string         // of the word, what is before Word: "--network="
	Word      string         // what is there of what is to be completed
	Arguments []string       // before it
	Job       bool           // it is of the job's own command
}

// PointOf finds what is to be completed of the last word, which may be empty.
func PointOf(app *cli.App, words []string, jobCommands ...string) Point {
	p := parser{jobCommands: jobCommands, levels: []level{{flags: app.Flags, commands: app.Commands}}}
	point := Point{}
	if len(words) == 0 {
		words = []string{""}
	}
	ended := false // by -- or by the job's command
	before, last := words[:len(words)-1], words[len(words)-1]
	for i := 0; i < len(before); i++ {
		word := before[i]
		switch flag := p.pending(word); {
		case ended || word == "-":
			p.arguments = append(p.arguments, word)
		case word == "--":
			ended = true
		case flag != nil && i == len(before)-1:
			point.Flag = flag
		case flag != nil:
			i++ // its value
		case strings.HasPrefix(word, "-"):
		default:
			done, err := p.word(word)
			ended = ended || done && err == nil
		}
	}
	here := p.levels[len(p.levels)-1]
	for _, l := range p.levels {
		if l.command != nil {
			point.Path = append(point.Path, l.command)
		}
	}
	point.Arguments, point.Word = p.arguments, last
	point.Job = here.command != nil && slices.Contains(jobCommands, here.command.Name) && len(p.arguments) > 0
	switch {
	case point.Flag != nil || ended:
	case strings.HasPrefix(last, "--") && strings.Contains(last, "="):
		name, value, _ := strings.Cut(last[2:], "=")
		if _, flag := p.find(name); flag != nil && takesValue(flag) {
			point.Flag, point.Lead, point.Word = flag, "--"+name+"=", value
		}
	case strings.HasPrefix(last, "-"):
		for _, l := range slices.Backward(p.levels) {
			point.Flags = append(point.Flags, l.flags...)
		}
	case len(p.arguments) == 0:
		point.Commands = here.commands
	}
	return point
}

// pending is the flag at the end of a word that the next word is the value of, or nil.
func (p *parser) pending(word string) cli.Flag {
	if name, long := strings.CutPrefix(word, "--"); long {
		if _, flag := p.find(name); flag != nil && takesValue(flag) {
			return flag
		}
		return nil
	}
	if len(word) < 2 || word[0] != '-' {
		return nil
	}
	for i, letter := range word[1:] {
		_, flag := p.find(string(letter))
		if flag != nil && takesValue(flag) {
			if i+1+len(string(letter)) == len(word) {
				return flag
			}
			return nil // its value is in the word
		}
	}
	return nil
}

// Name is the words of the command at a point.
func (p Point) Name() string {
	var words []string
	for _, c := range p.Path {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

// Split parts a line into words as a shell does, as far as quotes and backslashes go. The last word is the unfinished one.
func Split(text string) []string {
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	escape := false
	for _, r := range text {
		switch {
		case escape:
			word.WriteRune(r)
			escape = false
		case r == '\\' && quote != '\'':
			escape, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return append(words, word.String())
}

// FlagNames are the names of a flag with their dashes, the long ones first; none of one that is hidden.
func FlagNames(f cli.Flag) (names []string) {
	if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
		return nil
	}
	for _, name := range f.Names() {
		if len(name) > 1 {
			names = append(names, "--"+name)
		}
	}
	for _, name := range f.Names() {
		if len(name) == 1 {
			names = append(names, "-"+name)
		}
	}
	return names
}

// TakesValue reports whether a value follows a flag.
func TakesValue(f cli.Flag) bool { return takesValue(f) }

// Value is the word that stands for a flag's value on its help page, and the text of that page.
func Value(f cli.Flag) (value, usage string) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return "", ""
	}
	usage = d.GetUsage()
	if m := quoted().FindStringSubmatch(usage); m != nil && d.TakesValue() {
		value, usage = m[1], strings.Replace(usage, m[0], m[1], 1)
	}
	return value, usage
}
