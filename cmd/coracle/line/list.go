package line

import (
	"flag"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// List is a flag that may be given several times. Its values are kept byte for byte: names of files need not be UTF-8, and
// cli.StringSliceFlag loses what is not.
type List struct {
	Name    string
	Aliases []string
	Usage   string
}

// values is what was given.
type values []string

func (v *values) Set(value string) error {
	*v = append(*v, value)
	return nil
}

func (v *values) String() string { return strings.Join(*v, " ") }

// Apply registers the flag. Its short names are for Parse, which gives the long one.
func (f *List) Apply(set *flag.FlagSet) error {
	set.Var(new(values), f.Name, f.Usage)
	return nil
}

// Names are the long name and the short ones.
func (f *List) Names() []string { return append([]string{f.Name}, f.Aliases...) }

// IsSet is for flags that the environment can set; this one cannot.
func (f *List) IsSet() bool { return false }

// String implements cli.Flag.
func (f *List) String() string { return "--" + f.Name }

// TakesValue is for help pages, as are the methods below.
func (f *List) TakesValue() bool { return true }

// GetUsage is the text of the help page.
func (f *List) GetUsage() string { return f.Usage }

// GetValue is the default: nothing.
func (f *List) GetValue() string { return "" }

// GetDefaultText is the default: nothing.
func (f *List) GetDefaultText() string { return "" }

// GetEnvVars are none.
func (f *List) GetEnvVars() []string { return nil }

// Values are those of a List, in the order of the line.
func Values(c *cli.Context, name string) []string {
	v, ok := c.Generic(name).(*values)
	if !ok {
		return nil
	}
	return *v
}

// Prepend puts values before those that were given of a List.
func Prepend(c *cli.Context, name string, before []string) {
	if v, ok := c.Generic(name).(*values); ok {
		*v = append(slices.Clone(before), *v...)
	}
}

var _ cli.DocGenerationFlag = (*List)(nil)
