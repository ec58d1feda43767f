package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: vm build                               make the nodes' disks that are missing (root)
       vm shell [-release NAME]               boot a node with a root shell on this terminal
       vm run [-release NAME] COMMAND...      boot a node, run a command of the shell as root there, end with its status`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	status, err := vm(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		status = 1
	}
	os.Exit(status)
}

func vm(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 0, errors.New(usage)
	}
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("release", releases[len(releases)-1].name, "release of Debian")
	limit := flags.Duration("timeout", 10*time.Minute, "end the node after that long")
	if err := flags.Parse(args[1:]); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, usage)
	}
	chosen, err := named(*name)
	if err != nil {
		return 0, err
	}
	switch args[0] {
	case "build":
		for _, r := range releases {
			system, emulator, err := r.ensure(ctx, os.Stderr)
			if err != nil {
				return 0, err
			}
			_, _ = fmt.Fprintln(os.Stdout, r, system, emulator)
		}
		return 0, nil
	case "shell":
		return 0, visit(ctx, chosen[0])
	case "run":
		ctx, cancel := context.WithTimeout(ctx, *limit)
		defer cancel()
		return command(ctx, chosen[0], strings.Join(flags.Args(), " "), os.Stdout)
	}
	return 0, errors.New(usage)
}

// visit boots a node with a shell on this terminal.
func visit(ctx context.Context, r release) (err error) {
	n, err := prepare(ctx, r, payload{mode: "shell"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.remove()) }()
	return n.shell(ctx)
}

// command boots a node, runs a command there, writes what it says to out, and returns its status.
func command(ctx context.Context, r release, text string, out io.Writer) (status int, err error) {
	n, err := prepare(ctx, r, payload{mode: "command", command: text})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, n.remove()) }()
	status = -1
	err = n.boot(ctx, func(line string) {
		if _, scanErr := fmt.Sscanf(line, "#node status %d", &status); scanErr != nil {
			_, _ = fmt.Fprintln(out, line)
		}
	})
	if err == nil && status < 0 {
		err = errors.New("the node ended before the command")
	}
	if err != nil {
		err = fmt.Errorf("%w; its console: %s", err, n.lastWords())
	}
	return status, err
}
