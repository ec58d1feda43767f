package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/runtime/idmap"
)

// trees are the directories of an image's layers, the base first, each below the delta that gives its files to their owners,
// where the job is to see those.
func (a *attempt) trees(ctx context.Context, image store.Image) ([]string, error) {
	if a.ids.IsZero() {
		return a.Store.Trees(image), nil
	}
	lower := make([]string, 0, len(image.Manifest.Layers))
	const soon = 2 * time.Second
	slow := time.AfterFunc(soon, func() { a.Notice("giving the image's files to their owners; this is done once for each layer") })
	defer slow.Stop()
	idMap := store.DeltaMap(a.ids.String())
	made := false
	for _, d := range image.Layers() {
		delta, here, err := a.delta(ctx, d, idMap)
		if err != nil {
			return nil, err
		}
		made = made || here
		lower = append(lower, a.Store.LayerDir(d))
		if delta != "" {
			lower = append(lower, delta)
		}
	}
	if made && a.Settle != nil {
		a.Settle(image)
	}
	return lower, nil
}

// merge has the layers of the run's images merged, for the next one, where that has not been done.
func (a *attempt) merge() {
	if a.Settle == nil || !a.ids.IsZero() {
		return
	}
	for _, image := range append(slices.Collect(maps.Values(a.data)), a.image) {
		if a.Store.Unmerged(image) {
			a.Settle(image)
		}
	}
}

// delta finds the delta of a layer, and makes it when it is not there. "" is for a layer that needs none.
func (a *attempt) delta(ctx context.Context, d digest.Digest, idMap store.IDMap) (dir string, made bool, err error) {
	if dir, err = a.Store.Delta(d, idMap); !errors.Is(err, fs.ErrNotExist) {
		return dir, false, err
	}
	unlock, err := a.Store.LockDelta(ctx, d)
	if err != nil {
		return "", false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if dir, err = a.Store.Delta(d, idMap); !errors.Is(err, fs.ErrNotExist) { // perhaps another process made it meanwhile
		return dir, false, err
	}
	if err := a.makeDelta(ctx, d, idMap); err != nil {
		return "", false, fmt.Errorf("giving the files of layer %.12s to their owners: %w", d.Encoded(), err)
	}
	dir, err = a.Store.Delta(d, idMap)
	return dir, true, err
}

func (a *attempt) makeDelta(ctx context.Context, d digest.Digest, idMap store.IDMap) (err error) {
	flat, err := a.Store.Layer(d)
	if err != nil {
		return err
	}
	staging, err := a.Store.BeginDelta(d, idMap)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, staging.Abort()) }()
	owners, err := a.Store.Owners(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, owners.Close()) }()
	stats, err := unpack.Delta(ctx, a.Store.LayerDir(d), staging.FS(), owners, a.ids)
	if err != nil {
		return err
	}
	if stats.Entries == 0 {
		return a.Store.MarkPlain(d)
	}
	if _, err := owners.Seek(0, 0); err != nil {
		return err
	}
	if err := idmap.Own(ctx, a.ids, staging.FS(), gifts(unpack.Given(staging.FS(), owners))); err != nil {
		return err
	}
	return staging.Commit(store.Layer{
		Digest: d, DiffID: flat.DiffID, MediaType: flat.MediaType, Unpacked: stats.Bytes, Entries: stats.Entries, Flat: flat.Created, Map: a.ids.String(),
	})
}

// gifts are what the side of images calls them, as that of namespaces takes them.
func gifts(list iter.Seq2[unpack.Gift, error]) iter.Seq2[idmap.Entry, error] {
	return func(yield func(idmap.Entry, error) bool) {
		for g, err := range list {
			if !yield(idmap.Entry{Path: []byte(g.Path), UID: g.UID, GID: g.GID, Mode: g.Mode}, err) {
				return
			}
		}
	}
}
