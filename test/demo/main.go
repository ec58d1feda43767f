// Command demo shows Coracle's whole road with nothing prepared: it makes a small image around one static program, serves
// it from a registry on a loopback port, pulls it, trains a classifier in it on a data volume that the job can only read,
// and shows what is left: the model, which belongs to the caller, and the record of the run. `make demo` builds and runs it.
//
// It needs no network and no root, and keeps everything in a temporary directory that it removes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var d demo
	flag.StringVar(&d.coracle, "coracle", "bin/coracle", "the coracle binary")
	flag.StringVar(&d.train, "train", "bin/demo-train", "the static training program")
	flag.StringVar(&d.data, "data", "test/demo/data", "the directory of digits.csv.gz")
	keep := flag.Bool("keep", false, "keep the temporary directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	d.out = os.Stdout
	if err := d.main(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}
