package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/test/imageset"
)

// options are the flags.
type options struct {
	rounds, warmup int // less than 0: the comparison's own number
	only           string
	set            string // names of images; "": ml, or made where that is missing
	image          string
	shape          bool
	count          int
	json           bool
	budget         bool // start: also where the time goes
	ranges         bool // as a user with subordinate ids
}

// line is how the registry is reached.
func (o options) line() link {
	if o.shape {
		return far
	}
	return link{}
}

// parse reads the command line: a comparison, or all, and flags.
func parse(args []string, log io.Writer) (verb string, o options, err error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return "", o, fmt.Errorf("no comparison named\n%s", usage)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.IntVar(&o.rounds, "rounds", -1, "measured rounds (start and exec: 50, train: 10, pull and ranks: 5, resume and herd: 3)")
	flags.IntVar(&o.warmup, "warmup", -1, "rounds before those (start and exec: 3, else 1); in them is found who works here")
	flags.StringVar(&o.only, "only", "", "measure the contenders whose name starts so; comma separated")
	flags.StringVar(&o.set, "set", "", "the images to pull, comma separated, or all (default: ml, or made)")
	flags.StringVar(&o.image, "image", "", "pull this: an OCI image layout (absolute path), or a reference that skopeo fetches")
	flags.BoolVar(&o.shape, "shape", false, "pull from a far registry: 40 MB/s a connection, 20 ms a request")
	flags.IntVar(&o.count, "count", 64, "herd, ranks: so many processes")
	flags.BoolVar(&o.budget, "budget", false, "start: also print where the time of a start goes")
	flags.BoolVar(&o.ranges, "ranges", false, "started by root: measure as a user with subordinate ids")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	if err := flags.Parse(args[1:]); err != nil {
		return "", o, err
	}
	if len(flags.Args()) > 0 {
		return "", o, fmt.Errorf("what is %q?\n%s", flags.Args(), usage)
	}
	verb = args[0]
	if verb != "all" && !helps(verb) && !slices.ContainsFunc(comparisons, func(c comparison) bool { return c.name == verb }) {
		return "", o, fmt.Errorf("no such comparison: %s\n%s", verb, usage)
	}
	_, err = o.sets()
	return verb, o, err
}

// sets are the images that the flags name. Without a name it is the machine-learning image; an ordinary user who finds it
// missing measures with one that needs no root.
func (o options) sets() ([]imageset.Set, error) {
	if o.set != "" {
		return imageset.Named(o.set)
	}
	sets, err := imageset.Named("ml")
	if err != nil || os.Geteuid() == 0 {
		return sets, err
	}
	if _, err := sets[0].Find(); err != nil {
		return imageset.Named("made")
	}
	return sets, nil
}
