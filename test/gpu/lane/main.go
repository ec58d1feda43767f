// Lane fills a folder with what the tests on real GPUs need (make gpu-lane): lane FOLDER BIN.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/coracle-run/coracle/test/gpu"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: lane FOLDER BIN")
		os.Exit(2)
	}
	if err := gpu.Lane(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "lane:", err)
		os.Exit(1)
	}
}
