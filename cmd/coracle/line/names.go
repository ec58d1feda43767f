package line

import "github.com/urfave/cli/v2"

// RememberNames spares the commands of a line what package cli does with their flags' names: it splits them by a regular expression
// each time that it looks for a flag, and it looks for every flag among all others. That took a fiftieth of a start.
func RememberNames(path []*cli.Command) {
	for _, command := range path {
		for i, f := range command.Flags {
			command.Flags[i] = named{f, f.Names()}
		}
	}
}

// named is a flag as far as running a command needs it.
type named struct {
	cli.Flag
	names []string
}

func (f named) Names() []string { return f.names }
