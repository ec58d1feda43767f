package line

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Line is a command line in the form that the flag package under urfave/cli understands.
type Line struct {
	Args []string // every flag as --name or --name=value before the arguments, which follow "--"
	Help bool     // help is asked for, about the command of Path
	Path []*cli.Command
}

// Parse reads the command line of an application as docker's users write it. After the first argument of one of
// jobCommands everything is an argument, however it looks. Mistakes are *UsageError.
func Parse(app *cli.App, args []string, jobCommands ...string) (Line, error) {
	p := parser{jobCommands: jobCommands, levels: []level{{flags: app.Flags, commands: app.Commands}}}
	if err := p.parse(args); err != nil {
		return Line{}, err
	}
	l := Line{Args: []string{Program}, Help: p.help}
	for _, level := range p.levels {
		if level.command != nil {
			l.Path = append(l.Path, level.command)
			l.Args = append(l.Args, level.command.Name)
		}
		l.Args = append(l.Args, level.given...)
	}
	if len(p.arguments) > 0 {
		l.Args = append(append(l.Args, "--"), p.arguments...)
	}
	return l, nil
}

// level is the program or one of the nested commands.
type level struct {
	command  *cli.Command // nil for the program
	flags    []cli.Flag
	commands []*cli.Command
	given    []string
}

type parser struct {
	jobCommands []string

	levels    []level // of the program, its command, that command's command
	arguments []string
	help      bool
}

func (p *parser) parse(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			p.arguments = append(p.arguments, args...)
			return nil
		case strings.HasPrefix(arg, "--"):
			rest, err := p.long(arg[2:], args)
			if err != nil {
				return err
			}
			args = rest
		case len(arg) > 1 && arg[0] == '-':
			rest, err := p.short(arg[1:], args)
			if err != nil {
				return err
			}
			args = rest
		default:
			last, err := p.word(arg)
			if err != nil {
				return err
			}
			if last {
				p.arguments = append(p.arguments, args...)
				return nil
			}
		}
		if p.help {
			return nil
		}
	}
	return nil
}

// word takes an argument or the name of a command; last says that everything after it is an argument too.
func (p *parser) word(word string) (last bool, err error) {
	here := p.levels[len(p.levels)-1]
	if len(here.commands) == 0 {
		p.arguments = append(p.arguments, word)
		return here.command != nil && slices.Contains(p.jobCommands, here.command.Name), nil
	}
	for _, c := range here.commands {
		if c.HasName(word) {
			p.levels = append(p.levels, level{command: c, flags: c.Flags, commands: c.Subcommands})
			return false, nil
		}
	}
	var names []string
	for _, c := range here.commands {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	e := &UsageError{Command: p.name(), Problem: fmt.Sprintf("unknown command %q", word)}
	switch name := Nearest(word, names); {
	case len(p.levels) == 1 && elsewhere[word] != "":
		e.Advice = elsewhere[word]
	case slices.Contains(names, "show") && (name == "" || word == "last"): // an id or a name, then
		e.Advice = fmt.Sprintf("did you mean '%s'?", Join(Program, p.name(), "show", word))
	case name != "":
		e.Advice = fmt.Sprintf("did you mean '%s'?", Join(Program, p.name(), name))
	}
	return false, e
}

// long takes --name, --name=value or --name value; rest is what follows.
func (p *parser) long(text string, args []string) (rest []string, err error) {
	name, value, hasValue := strings.Cut(text, "=")
	at, flag := p.find(name)
	switch {
	case len(name) < 2 || flag == nil && name != "help":
		return nil, p.unknown("--"+name, name)
	case flag == nil:
		p.help = true
		return args, nil
	case takesValue(flag) && !hasValue:
		if len(args) == 0 {
			return nil, Usagef(p.name(), "flag --%s needs a value", name)
		}
		p.give(at, flag, args[0])
		return args[1:], nil
	case hasValue:
		p.give(at, flag, value)
	default:
		p.levels[at].given = append(p.levels[at].given, "--"+flag.Names()[0])
	}
	return args, nil
}

// short takes -i, -it, -e A=1, -eA=1 and -e=A=1; rest is what follows.
func (p *parser) short(text string, args []string) (rest []string, err error) {
	for i, letter := range text {
		name := string(letter)
		at, flag := p.find(name)
		switch after := text[i+len(name):]; {
		case flag == nil && name == "h":
			p.help = true
			return args, nil
		case flag == nil:
			return nil, p.unknownShort(name, text)
		case !takesValue(flag):
			p.levels[at].given = append(p.levels[at].given, "--"+flag.Names()[0])
		case after != "":
			p.give(at, flag, strings.TrimPrefix(after, "="))
			return args, nil
		case len(args) == 0:
			return nil, Usagef(p.name(), "flag -%s needs a value", name)
		default:
			p.give(at, flag, args[0])
			return args[1:], nil
		}
	}
	return args, nil
}

// find returns a flag by one of its names, and the innermost level that has it.
func (p *parser) find(name string) (at int, flag cli.Flag) {
	for at := range slices.Backward(p.levels) {
		for _, f := range p.levels[at].flags {
			if slices.Contains(f.Names(), name) {
				return at, f
			}
		}
	}
	return 0, nil
}

func (p *parser) give(at int, flag cli.Flag, value string) {
	p.levels[at].given = append(p.levels[at].given, "--"+flag.Names()[0]+"="+value)
}

// unknown is the error for a flag that nobody has; name is what to look for among the long ones.
func (p *parser) unknown(flag, name string) error {
	e := &UsageError{Command: p.name(), Problem: "unknown flag " + flag}
	if name := Nearest(name, p.longNames()); name != "" {
		e.Advice = fmt.Sprintf("did you mean --%s?", name)
	}
	return e
}

// unknownShort is the error for a letter that is no flag. A long flag with one dash only is told by its whole text.
func (p *parser) unknownShort(letter, text string) error {
	name, _, _ := strings.Cut(text, "=")
	if slices.Contains(p.longNames(), name) {
		letter = name
	}
	return p.unknown("-"+letter, name)
}

func (p *parser) longNames() []string {
	var names []string
	for _, l := range p.levels {
		for _, f := range l.flags {
			names = append(names, slices.DeleteFunc(f.Names(), func(name string) bool { return len(name) == 1 })...)
		}
	}
	return names
}

// name is the words of the command so far.
func (p *parser) name() string {
	var words []string
	for _, l := range p.levels {
		if l.command != nil {
			words = append(words, l.command.Name)
		}
	}
	return strings.Join(words, " ")
}

// takesValue is false for flags that are only given or not.
func takesValue(flag cli.Flag) bool {
	f, ok := flag.(cli.DocGenerationFlag)
	return ok && f.TakesValue()
}

// Join joins words with spaces and leaves out empty ones.
func Join(words ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), " ")
}
