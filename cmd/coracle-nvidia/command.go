package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/nvidia"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

const help = `coracle-nvidia: the helper by which coracle asks NVIDIA's driver.

coracle starts it by itself when a job is to have GPUs: it has to lie beside coracle, or in libexec/coracle
beside that directory. By hand:

    coracle-nvidia version              what it is, and the protocol it speaks
    coracle-nvidia help                 this text
    coracle-nvidia [--verbose]          answer requests, a line of JSON each, until the input ends

For example, what GPUs there are, and what a container with all of the driver and none of them needs:

    echo '{"protocol":%[1]d,"op":"list"}' | coracle-nvidia
    echo '{"protocol":%[1]d,"op":"spec","spec":{}}' | coracle-nvidia

Exit status: 0; 1: a hook has failed, or a line could not be read or written; 2: no such command.
`

// Main runs one command and returns its exit status.
func Main(args []string, stdin, stdout, stderr *os.File) int {
	// Libraries that say something on their own say it to nobody.
	log.SetOutput(io.Discard)
	err := run(args[1:], stdin, stdout, stderr)
	if err == nil {
		return 0
	}
	say(stderr, "%s: %v\n", gpu.HelperName, err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

var errUsage = errors.New("no such command; coracle-nvidia help lists them")

func run(args []string, stdin, stdout, stderr *os.File) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "":
		if term.IsTerminal(int(stdin.Fd())) {
			say(stdout, help, gpu.Protocol)
			return nil
		}
		return serve(stdin, stdout, nvidia.Log{})
	case "--verbose":
		return serve(stdin, stdout, nvidia.Log{W: stderr})
	case "version", "--version":
		say(stdout, "%s %s (%s), protocol %d\n", gpu.HelperName, version, commit, gpu.Protocol)
		return nil
	case "help", "--help", "-h":
		say(stdout, help, gpu.Protocol)
		return nil
	case gpu.HookCommand:
		return hook(args[1:], stdin, stderr)
	}
	return fmt.Errorf("%s: %w", command, errUsage)
}

func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...) // nobody is left to tell
}

// serve answers on what was standard output, and gives that of the process to standard error: a driver's library that prints cannot
// get between the lines.
func serve(stdin, stdout *os.File, log nvidia.Log) error {
	// A scheduler sends its signals to every process of a job step; this one ends with its input.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	fd, err := unix.FcntlInt(stdout.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("keeping standard output: %w", err)
	}
	out := os.NewFile(uintptr(fd), "answers")
	if err := unix.Dup3(int(os.Stderr.Fd()), int(os.Stdout.Fd()), 0); err != nil {
		return fmt.Errorf("keeping standard output for the answers: %w", err)
	}
	err = nvidia.Serve(stdin, out, nvidia.Options{Self: self, Log: log})
	return errors.Join(err, out.Close())
}
