package main

import (
	"os"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/oci/pull"
)

// memoryVariable stands in for --memory-budget where it is always the same: on a small device.
const memoryVariable = "CORACLE_MEMORY_BUDGET"

// memoryFlag is a flag of all commands that pull.
func memoryFlag() cli.Flag {
	return &cli.StringFlag{Name: "memory-budget", Usage: "Use at most `SIZE` of memory for a pull, such as 48m (default: 96m; also $" + memoryVariable + ")"}
}

// pullOptions are the flags of commands that pull.
func pullOptions(c *cli.Context) (pull.Options, error) {
	options := pull.Options{Platform: c.String("platform"), KeepBlobs: c.Bool("keep-blobs")}
	for _, text := range []string{c.String("memory-budget"), os.Getenv(memoryVariable)} {
		if text == "" {
			continue
		}
		bytes, err := units.RAMInBytes(text)
		if err != nil || bytes < pull.LeastMemory {
			return options, usagef(c.Command.Name, "the memory budget %q is no size of at least %dm: write 48m or 1g", text, pull.LeastMemory>>20)
		}
		options.Memory = bytes
		break
	}
	return options, nil
}
