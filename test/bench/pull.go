package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
)

const (
	layerByLayer = "tar, layer by layer"
	curlAndTar   = "curl, then " + layerByLayer
	podmanPull   = "podman pull"
	coraclePull  = "coracle pull"
)

// pullTables measures a pull of each image that is asked for.
func pullTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	return eachSubject(ctx, b, o, "pull", func(s subject, r *registry) field {
		f := pullField(b, s, r)
		if o.shape {
			f.subject += fmt.Sprintf(", at %d MB/s a connection and %v a request", far.rate/1_000_000, far.delay)
			f.reference = curlAndTar
		}
		f.contenders = pullers(b, s, r, o.shape)
		return f
	})
}

// eachSubject runs one field for each image, with a registry for it.
func eachSubject(ctx context.Context, b *workshop, o options, verb string, prepare func(subject, *registry) field) (tables []table, err error) {
	there, missing, err := subjects(ctx, b, o)
	if err != nil {
		return nil, err
	}
	for _, s := range there {
		r := serve(s.image, o.line())
		f := prepare(s, r)
		t, err := f.run(ctx, verb+" "+s.name, o, b)
		r.stop()
		stopPodman()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		tables = append(tables, t)
	}
	if len(missing) > 0 {
		tables = append(tables, table{Name: verb, Subject: "images that are not here", Skipped: missing})
	}
	return tables, nil
}

// pullField is a field whose runs fetch one image.
func pullField(b *workshop, s subject, r *registry) field {
	return field{
		subject: fmt.Sprintf("%s, from a registry on this machine into an empty store", s), columns: pullColumns,
		reference: layerByLayer, peer: podmanPull, rounds: 5, warmup: 1, watch: 20 * time.Millisecond,
		served: r.served.Load, disk: diskMeter(b.dir), content: s.image.Size() + s.contents.Blocks,
	}
}

// storeDir is the store that each run starts without.
func (b *workshop) storeDir() string { return filepath.Join(b.dir, "store") }

// tempDir is where peers may put what they only need meanwhile.
func (b *workshop) tempDir() string { return filepath.Join(b.storeDir(), "tmp") }

// fresh makes the store empty, and waits until all earlier writes are on disk.
func (b *workshop) fresh() error {
	if err := fsx.RemoveAll(b.storeDir()); err != nil {
		return err
	}
	unix.Sync()
	return os.MkdirAll(b.tempDir(), 0o700)
}
