// Command build builds the machine-learning test image when it is missing, and prints where it lies. With -large it is the one
// that benchmarks pull, with -cluster that of jobs over several nodes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coracle-run/coracle/test/mlimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	large := flag.Bool("large", false, "build the image for benchmarks")
	cluster := flag.Bool("cluster", false, "build the image for jobs over several nodes")
	flag.Parse()
	variant := mlimage.Small
	switch {
	case *large:
		variant = mlimage.Large
	case *cluster:
		variant = mlimage.Cluster
	}
	dir, err := variant.Ensure(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mlimage:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
