// Command bench measures Coracle beside its peers: how long a container's start takes, and a pull from a registry on this
// machine. All contenders take turns in one run, so that a machine's drift and its other users hit them alike; what is
// printed are medians and ratios. README.md says what is compared, and why that is fair.
//
//	go run ./test/bench start|pull|all [-rounds N] [-warmup N] [-only NAME,...] [-image LAYOUT|REF] [-json]
//
// Started by root, it measures as an ordinary user. A contender that is not installed, or that does not work here, is
// skipped by name.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

const usage = "usage: bench start|pull|all [-rounds N] [-warmup N] [-only NAME,...] [-image LAYOUT|REF] [-json]"

func main() {
	undo := prepareHost(os.Stderr)
	status := need.Unprivileged(command{})
	undo()
	os.Exit(status)
}

// command is what need.Unprivileged runs, as an ordinary user.
type command struct{}

func (command) Run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// options are the flags.
type options struct {
	rounds, warmup int // 0: the comparison's own number
	only           string
	image          string
	json           bool
}

// A comparison is one of the program's verbs.
type comparison struct {
	name    string
	prepare func(ctx context.Context, b *workshop, o options) (field, error)
}

var comparisons = []comparison{{"start", prepareStart}, {"pull", preparePull}}

func bench(ctx context.Context, args []string, out, log io.Writer) (err error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("no comparison named\n%s", usage)
	}
	verb := args[0]
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.IntVar(&o.rounds, "rounds", 0, "measured rounds (start: 30, pull: 5)")
	flags.IntVar(&o.warmup, "warmup", 0, "rounds before those (start: 3, pull: 1)")
	flags.StringVar(&o.only, "only", "", "measure the contenders whose name starts so; comma separated")
	flags.StringVar(&o.image, "image", "", "pull: an OCI image layout (absolute path), or a reference that skopeo fetches")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	shop, err := newWorkshop(log)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, shop) }()

	r := report{Machine: machine()}
	for _, c := range comparisons {
		if verb != c.name && verb != "all" {
			continue
		}
		f, err := c.prepare(ctx, shop, o)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		t, err := f.run(ctx, c.name, o, shop)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.Tables = append(r.Tables, t)
	}
	if len(r.Tables) == 0 {
		return fmt.Errorf("no such comparison: %s\n%s", verb, usage)
	}
	text := r.text()
	if o.json {
		text = r.json()
	}
	_, err = io.WriteString(out, text)
	return err
}

// workshop is the directory that everything is made in, with what has to be stopped at the end.
type workshop struct {
	dir     string
	coracle string // path of the binary, or ""
	log     io.Writer
	stop    []func()
}

// newWorkshop makes the directory on disk rather than in /tmp, which may be a tmpfs: layers want user extended attributes.
func newWorkshop(log io.Writer) (*workshop, error) {
	base := cmp.Or(os.Getenv(dirEnv), os.Getenv("TMPDIR"), "/var/tmp")
	dir, err := os.MkdirTemp(base, "coracle-bench-")
	return &workshop{dir: dir, coracle: binary(), log: log}, err
}

// binary is the coracle to measure: $CORACLE_BIN, else bin/coracle of this tree.
func binary() string {
	path := os.Getenv("CORACLE_BIN")
	if path == "" {
		top, err := need.Top()
		if err != nil {
			return ""
		}
		path = top + "/bin/coracle"
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

func joinClose(err error, b *workshop) error {
	for _, stop := range b.stop {
		stop()
	}
	if rerr := fsx.RemoveAll(b.dir); err == nil {
		return rerr
	}
	return err
}
