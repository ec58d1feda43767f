package main

import (
	"os"

	"github.com/coracle-run/coracle/internal/detach"
	"github.com/coracle-run/coracle/internal/trace"

	// Being executed again as a container's keeper or init is handled before main.
	_ "github.com/coracle-run/coracle/runtime/initproc"
)

func main() {
	trace.Mark(trace.Run, "booted")
	detach.Taken() // before anything is started that would inherit what it takes
	status := Main(os.Args, os.Stdin, os.Stdout, os.Stderr)
	trace.Mark(trace.Run, "done")
	os.Exit(status)
}
