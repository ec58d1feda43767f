package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// Settle waits until the named layers are on the disk and marks them, so that they are trusted after a power cut. It may
// take as long as the disk takes to write everything it has been given; it is meant to run beside a job, or at the end of
// a pull that can wait. Layers that are marked already or not there cost one look each.
func (s *Store) Settle(layers ...digest.Digest) error {
	var marks []string
	for _, d := range layers {
		mark := filepath.Join(s.layerDir(d), syncedName)
		if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) && s.HasLayer(d) {
			marks = append(marks, mark)
		}
	}
	if len(marks) == 0 {
		return nil
	}
	if err := s.syncfs(); err != nil {
		return fmt.Errorf("settling %d layers: %w", len(marks), err)
	}
	for _, mark := range marks {
		if err := markSynced(mark); err != nil {
			return fmt.Errorf("settling: %w", err)
		}
	}
	return nil
}

// SettleBeside is Settle for a job's supervisor: it waits a while first, in which the kernel writes most of it by itself
// (30 s, vm.dirty_expire_centisecs), and does nothing when ctx ends before that. A process that ends while it syncs ends
// only when the disk has answered; a short job shall not wait for that.
func (s *Store) SettleBeside(ctx context.Context, wait time.Duration, layers ...digest.Digest) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(wait):
		return s.Settle(layers...)
	}
}

func (s *Store) syncfs() (err error) {
	if err := fsx.Step("syncfs", s.layersDir()); err != nil {
		return err
	}
	fd, err := sys.OpenDir(s.layersDir())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	return sys.Syncfs(fd, s.layersDir())
}

// markSynced makes the empty mark. Another process may have made it, or removed the layer, meanwhile.
func markSynced(mark string) error {
	f, err := fsx.CreateExclusive(mark, 0o600)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
