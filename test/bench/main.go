// Command bench measures Coracle beside its peers: how long a container's start takes, and a pull from a registry on this
// machine, and what a container costs a job while it runs. All contenders take turns in one run, so that a machine's drift and its other users hit them alike; what is
// printed are medians and ratios. README.md says what is compared, and why that is fair.
//
//	go run ./test/bench start|exec|ranks|pull|resume|herd|train|network|records|all [-set NAME,...|all] [-image LAYOUT|REF] [-shape] [-rounds N] [-only NAME,...] [-budget] [-ranges] [-json]
//	go run ./test/bench images [-set NAME,...|all]     makes the images that are missing, and lists them
//	go run ./test/bench serve [-set NAME] [-shape]     a registry with that image, until it is interrupted
//
// Started by root, it measures as an ordinary user. A contender that is not installed, or that does not work here, is
// skipped by name.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

const usage = "usage: bench start|exec|ranks|pull|resume|herd|train|network|records|images|serve|all [-set NAME,...|all] [-image LAYOUT|REF] [-shape] [-count N]\n" +
	"                   [-rounds N] [-warmup N] [-only NAME,...] [-budget] [-ranges] [-json]"

func main() {
	prepareImages(os.Args[1:], os.Stderr)
	if len(os.Args) > 1 && helps(os.Args[1]) {
		os.Exit(command{}.Run())
	}
	undo := prepareHost(os.Stderr)
	run := need.Unprivileged
	verb, o, err := parse(os.Args[1:], io.Discard)
	if err == nil && o.ranges {
		run = need.Subordinate
	}
	removeStream := buildStream(verb, os.Stderr)
	returnTun := func() {}
	if verb == "network" {
		returnTun = need.LendTun()
	}
	status := run(command{})
	returnTun()
	removeStream()
	undo()
	os.Exit(status)
}

// command is what need.Unprivileged runs, as an ordinary user.
type command struct{}

func (command) Run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := adopt(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench: going on without what programs leave running:", err)
	}
	if err := bench(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// A comparison is one of the program's verbs.
type comparison struct {
	name   string
	tables func(ctx context.Context, b *workshop, o options) ([]table, error)
}

var comparisons = []comparison{{"start", startTables}, {"exec", execTables}, {"ranks", ranksTables}, {"pull", pullTables}, {"resume", resumeTables}, {"herd", herdTables}, {"train", trainTables}, {"network", networkTables}, {"records", recordTables}}

func bench(ctx context.Context, args []string, out, log io.Writer) (err error) {
	verb, o, err := parse(args, log)
	if err != nil {
		return err
	}
	if helps(verb) {
		return help(ctx, verb, o, out, log)
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
		tables, err := c.tables(ctx, shop, o)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.Tables = append(r.Tables, tables...)
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
