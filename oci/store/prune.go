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
	"github.com/coracle-run/coracle/oci/store/blob"
)

// PruneOptions say what Prune may remove. The zero value: images without a reference, and what nothing belongs to.
type PruneOptions struct {
	All    bool      // every image that no live run uses, whatever it is called
	Before time.Time // images pulled, and layers and blobs written, before; zero: whenever
	Uppers bool      // kept writable layers that no run has, too
	DryRun bool      // remove nothing, and say what would be removed
}

// Pruned says what Prune has removed, or would remove.
type Pruned struct {
	DryRun   bool          `json:"dry_run"`
	Images   []PrunedImage `json:"images"`
	Layers   []Item        `json:"layers"`   // trees, by digest
	Blobs    []Item        `json:"blobs"`    // kept ones that no image has, by digest
	Partials []Item        `json:"partials"` // blobs of which a part was fetched, by digest
	Uppers   []Item        `json:"uppers"`   // of runs whose process is dead, by run
	Temps    []Item        `json:"temps"`    // that a dead process left
	Kept     []Item        `json:"kept"`     // writable layers that were kept, by name
	Bytes    int64         `json:"bytes"`    // of file content in all of them

	Dead []Lease `json:"-"` // of the uppers, so that the caller can close the records of their runs
}

// PrunedImage is an image that goes, with the references it had.
type PrunedImage struct {
	Digest     digest.Digest `json:"digest"`
	References []string      `json:"references"`
}

// Item is a thing in the store and the space it takes, in bytes of file content.
type Item struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Prune removes what nobody needs: images as the options say, layers and blobs that no image has, partial blobs that no
// process is fetching, and what dead processes left. What a live run uses stays, as does what a living process is making,
// on this host or on another. What cannot be removed does not stop the rest and is reported.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (_ Pruned, err error) {
	unlock, err := s.lockRemoval(ctx)
	if err != nil {
		return Pruned{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	p := &pruner{Store: s, options: o, pruned: Pruned{
		DryRun: o.DryRun, Images: []PrunedImage{}, Layers: []Item{}, Blobs: []Item{}, Partials: []Item{}, Uppers: []Item{}, Temps: []Item{}, Kept: []Item{},
	}}
	var errs []error
	for _, step := range []func() error{p.left, p.images, p.layers, p.blobs, func() error { return p.kept(ctx) }} {
		if err := ctx.Err(); err != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		errs = append(errs, step())
	}
	if err := errors.Join(errs...); err != nil {
		return p.pruned, fmt.Errorf("pruning: %w", err)
	}
	return p.pruned, nil
}

// pruner is one call of Prune.
type pruner struct {
	*Store
	options PruneOptions
	pruned  Pruned
	gone    map[digest.Digest]bool // images that went, or would go
}

// old reports whether something from a time may go.
func (p *pruner) old(t time.Time) bool {
	return p.options.Before.IsZero() || t.Before(p.options.Before)
}

func (p *pruner) took(list *[]Item, item Item) {
	*list = append(*list, item)
	p.pruned.Bytes += item.Bytes
}

// left removes what dead processes left.
func (p *pruner) left() error {
	remains, err := p.remains()
	used := make([]fsx.Amount, len(remains))
	for i, r := range remains {
		used[i] = fsx.Measure(r.path, 0)
	}
	if !p.options.DryRun {
		dead, reclaimErr := p.Reclaim()
		p.pruned.Dead, err = dead, errors.Join(err, reclaimErr)
	}
	for i, r := range remains {
		if _, gone := os.Lstat(r.path); !p.options.DryRun && !errors.Is(gone, fs.ErrNotExist) {
			continue // it could not be removed, which has been told
		}
		list := &p.pruned.Temps
		if r.upper {
			list = &p.pruned.Uppers
		}
		p.took(list, Item{Name: filepath.Base(r.path), Bytes: used[i].Bytes})
	}
	return err
}

// images removes images. Two references of one image are one.
func (p *pruner) images() error {
	images, err := p.Images()
	if err != nil {
		return err
	}
	live, err := p.liveImages()
	if err != nil {
		return err
	}
	type candidate struct {
		refs []string
		keep bool
	}
	all := map[digest.Digest]*candidate{}
	var order []digest.Digest
	for _, img := range images {
		c := all[img.Digest]
		if c == nil {
			c = &candidate{refs: []string{}}
			all[img.Digest], order = c, append(order, img.Digest)
		}
		if img.Ref != "" {
			c.refs = append(c.refs, img.Ref)
		}
		c.keep = c.keep || live[img.Digest] != nil || !p.old(img.Pulled) || img.Ref != "" && !p.options.All
	}
	p.gone = map[digest.Digest]bool{}
	var errs []error
	for _, d := range order {
		if all[d].keep {
			continue
		}
		gone, err := p.image(d, all[d].refs)
		errs = append(errs, err)
		if gone {
			p.gone[d] = true
			p.pruned.Images = append(p.pruned.Images, PrunedImage{Digest: d, References: all[d].refs})
		}
	}
	return errors.Join(errs...)
}

// image removes one image with its references, unless a run has begun to use it.
func (p *pruner) image(d digest.Digest, refs []string) (gone bool, err error) {
	if p.options.DryRun {
		return true, nil
	}
	if live, err := p.liveImages(); err != nil || live[d] != nil {
		return false, err
	}
	for _, ref := range refs {
		if err := p.removeTag(ref, d); err != nil {
			return false, err
		}
	}
	return p.removeImage(d)
}

// layers removes the layers that no image has and nobody uses.
func (p *pruner) layers() error {
	used, err := p.usedByImages(p.gone)
	if err != nil {
		return err
	}
	stored, err := p.storedLayers()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range stored {
		if used[d] {
			errs = append(errs, p.deltas(d))
			if !p.options.DryRun {
				_ = os.Remove(p.treesDir(d)) // which succeeds when a killed process has left it empty
			}
			continue
		}
		bytes, written := p.treesOf(d)
		if !p.old(written) {
			continue
		}
		gone, err := p.layer(d)
		errs = append(errs, err)
		if gone {
			p.took(&p.pruned.Layers, Item{Name: d.String(), Bytes: bytes})
		}
	}
	if !p.options.DryRun {
		errs = append(errs, p.dropStale(p.gone))
	}
	return errors.Join(errs...)
}

// deltas removes the deltas of a layer that are of no use any more.
func (p *pruner) deltas(d digest.Digest) error {
	stale, err := p.staleDeltas(d)
	errs := []error{err}
	for _, dir := range stale {
		was, _ := describeLayer(dir) // without a description, its size is not known
		if !p.old(was.Created) {
			continue
		}
		if !p.options.DryRun {
			if err := p.retire(d, dir); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		p.took(&p.pruned.Layers, Item{Name: d.String() + " (" + filepath.Base(dir) + ")", Bytes: was.Unpacked})
	}
	return errors.Join(errs...)
}

func (p *pruner) layer(d digest.Digest) (gone bool, err error) {
	if p.options.DryRun {
		inUse, err := p.inUse(d)
		return !inUse, err
	}
	return p.removeLayer(d)
}

// treesOf adds up the trees of a layer, and says when the latest was made.
func (s *Store) treesOf(d digest.Digest) (bytes int64, written time.Time) {
	trees, err := os.ReadDir(s.treesDir(d))
	if err != nil {
		return 0, time.Time{}
	}
	for _, tree := range trees {
		layer, err := describeLayer(filepath.Join(s.treesDir(d), tree.Name()))
		if err != nil {
			continue
		}
		bytes += layer.Unpacked
		if layer.Created.After(written) {
			written = layer.Created
		}
	}
	return bytes, written
}

// blobs removes kept blobs that no image has, and partial ones that nobody is fetching.
func (p *pruner) blobs() error {
	blobs, err := p.Blobs().List()
	if err != nil {
		return err
	}
	used, err := p.usedByImages(p.gone)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range blobs {
		if !p.old(b.Written) || !b.Partial && used[b.Digest] {
			continue
		}
		if !b.Partial {
			// The layer that was made of it tells whether its image is still on its way.
			if inUse, err := p.inUse(b.Digest); err != nil || inUse {
				errs = append(errs, err)
				continue
			}
		}
		gone, err := p.blob(b)
		errs = append(errs, err)
		if !gone {
			continue
		}
		list := &p.pruned.Blobs
		if b.Partial {
			list = &p.pruned.Partials
		}
		p.took(list, Item{Name: b.Digest.String(), Bytes: b.Size})
	}
	if !p.options.DryRun {
		errs = append(errs, p.Blobs().RemoveStray())
	}
	return errors.Join(errs...)
}

func (p *pruner) blob(b blob.Blob) (gone bool, err error) {
	switch {
	case !b.Partial && p.options.DryRun:
		return true, nil
	case !b.Partial:
		return true, p.Blobs().Remove(b.Digest)
	case p.options.DryRun:
		busy, err := p.Blobs().Fetching(b.Digest)
		return !busy, err
	default:
		return p.Blobs().RemovePartial(b.Digest)
	}
}
