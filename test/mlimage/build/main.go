// Command build builds the machine-learning test image when it is missing, and prints where it lies.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/coracle-run/coracle/test/mlimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	dir, err := mlimage.Ensure(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mlimage:", err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
