package line

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
)

// Program is the name of the program.
const Program = "coracle"

// UsageError is a mistake on the command line.
type UsageError struct {
	Command string // words of the command, "runs show"; empty when there is none yet
	Problem string
	Advice  string // what was probably meant; may be empty
}

// Usagef is a UsageError without advice.
func Usagef(command, format string, args ...any) error {
	return &UsageError{Command: command, Problem: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *UsageError) Error() string {
	if e.Command == "" {
		return e.Problem
	}
	return e.Command + ": " + e.Problem
}

// Hint is the advice, and where to read more.
func (e *UsageError) Hint() string {
	more := fmt.Sprintf("see '%s --help'", Join(Program, e.Command))
	switch {
	case e.Advice == "":
		return more
	case strings.HasSuffix(e.Advice, "?"):
		return e.Advice + " " + strings.ToUpper(more[:1]) + more[1:]
	default:
		return e.Advice + "; " + more
	}
}

// badValue is what the flag package says of a value that does not fit.
var badValue = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^invalid value (".*") for flag -([^:]+):`) })

// SetUsageErrors makes values that do not fit their flags a UsageError like all other mistakes.
func SetUsageErrors(app *cli.App) {
	asUsage := func(c *cli.Context, err error, _ bool) error {
		name := ""
		if c.Command != nil && c.Command.Name != Program {
			name = c.Command.HelpName[min(len(Program)+1, len(c.Command.HelpName)):]
		}
		if m := badValue().FindStringSubmatch(err.Error()); m != nil {
			return Usagef(name, "--%s: %s is no value for it", m[2], m[1])
		}
		return Usagef(name, "%v", err)
	}
	app.OnUsageError = asUsage
	var each func(commands []*cli.Command)
	each = func(commands []*cli.Command) {
		for _, c := range commands {
			c.OnUsageError, c.HideHelp = asUsage, true
			each(c.Subcommands)
		}
	}
	each(app.Commands)
}
