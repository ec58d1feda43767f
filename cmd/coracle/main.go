package main

import (
	"os"

	// Being executed again as a container's keeper or init is handled before main.
	_ "github.com/coracle-run/coracle/runtime/initproc"
)

func main() {
	os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
