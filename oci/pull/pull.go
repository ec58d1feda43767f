package pull

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Options of Image. The zero value pulls for this machine, as fast as it can.
type Options struct {
	Platform string // "os/arch[/variant]"; "" is this machine
	Progress Progress
	// KeepBlobs keeps the layers as they came, too: what save and push send.
	KeepBlobs bool
	// Memory is how many bytes the whole process may have resident, at least LeastMemory; 0 is 96 MiB, but for layers that are
	// compressed with large windows. Fewer layers at once and smaller buffers keep to it, and until Image returns so does the
	// garbage collector of the process. A layer that needs more is refused with ErrMemory.
	Memory int64

	// For tests: patience, and what stands in for large layers and for the number of CPUs.
	Pause     time.Duration // before the first new attempt; it doubles up to 15 seconds. 0 is half a second
	RangeSize int64         // 0 is 16 MiB; a layer of twice that is fetched in ranges
	Parallel  int           // layers at once, where the memory suffices; 0 is one for each CPU, at least 2
}

// attempts bounds how often layers are looked for again that somebody removed while the image was pulled.
const attempts = 10

// Image makes sure that the image a source means now, for one platform, is in the store with all its layers, and returns
// it. A tag of a registry costs one HEAD when everything is stored, a digest no request at all. When it fails, is cancelled
// or killed, the reference means what it meant before, and finished layers stay for the next attempt.
//
// Errors are those of packages registry, unpack and store, those of the source, ErrMemory, ErrNoSpace and ErrDiskFull.
func Image(ctx context.Context, st *store.Store, src Source, opts Options) (store.Image, error) {
	p := newPuller(st, src, opts)
	defer p.memory.apply()()
	img, err := p.image(ctx, opts.Platform)
	if err != nil {
		return store.Image{}, fmt.Errorf("pulling %s: %w", src, explainFull(st, err))
	}
	return img, nil
}

// puller is one call of Image.
type puller struct {
	store    *store.Store
	src      Source
	ref      string // what the image is stored under, "" for its digest alone
	origin   string // store.Image.From
	progress Progress
	fetch    *fetcher
	queue    *queue
	keep     bool
	memory   memory
}

func newPuller(st *store.Store, src Source, opts Options) *puller {
	p := &puller{store: st, src: src, progress: opts.Progress, keep: opts.KeepBlobs}
	p.ref, p.origin = place(src)
	if p.progress == nil {
		p.progress = silent{}
	}
	p.memory = divide(opts.Memory, opts.Parallel)
	p.fetch = newFetcher(src, opts, p.progress.Note)
	p.fetch.pace.most = p.memory.connections
	p.queue = newQueue(p.memory.layers)
	return p
}

func (p *puller) image(ctx context.Context, platform string) (store.Image, error) {
	want, err := registry.ParsePlatform(platform)
	if err != nil {
		return store.Image{}, err
	}
	d, err := p.src.Digest(ctx)
	if err != nil {
		return store.Image{}, err
	}
	if img, ok, err := p.stored(d, want); err != nil || ok && len(p.store.Missing(img)) == 0 {
		return p.finish(ctx, img, err)
	}
	// Of the ranks of a job that start in the same second one pulls. Manifests are what registries count.
	unlock, err := p.store.Lock(ctx, d, func() { p.progress.Note("another process is pulling this image; waiting") })
	if err != nil {
		return store.Image{}, err
	}
	img, err := p.resolve(ctx, d, want)
	if err == nil && len(p.store.Missing(img)) == 0 {
		return p.finish(ctx, img, unlock()) // another process has brought it: the next one in the queue need not wait
	}
	img, err = p.finish(ctx, img, err)
	return img, errors.Join(err, unlock())
}

// finish fetches the layers of a resolved image and makes the reference mean it. It passes an earlier error through.
func (p *puller) finish(ctx context.Context, img store.Image, err error) (store.Image, error) {
	if err != nil {
		return store.Image{}, err
	}
	p.progress.Resolved(p.src.String(), string(img.Digest))
	for range attempts {
		if err := p.layers(ctx, img); err != nil {
			return store.Image{}, err
		}
		if err := p.put(img); err != nil {
			return store.Image{}, err
		}
		// From here on the image protects its layers. Before, a removal of another image may have taken a shared one.
		if len(p.store.Missing(img)) == 0 {
			return p.found(img)
		}
	}
	return store.Image{}, fmt.Errorf("layers were removed %d times while they were pulled", attempts)
}

// found is the image as it is stored. It was pulled, even if somebody has removed it again by now, or has given its name to
// another image.
func (p *puller) found(img store.Image) (store.Image, error) {
	now, err := p.store.Image(cmp.Or(p.ref, string(img.Digest)))
	if errors.Is(err, store.ErrNotFound) || err == nil && now.Digest != img.Digest {
		return img, nil
	}
	return now, err
}

// resolve is the image a digest means, from the store if it has the manifest, else from the source.
func (p *puller) resolve(ctx context.Context, d digest.Digest, want ocispec.Platform) (store.Image, error) {
	if img, ok, err := p.stored(d, want); err != nil || ok {
		return img, err
	}
	r, err := p.src.Resolve(ctx, d, want)
	if err != nil {
		return store.Image{}, err
	}
	return store.Image{
		Ref: p.ref, From: p.origin, Digest: r.Digest, Index: r.Index, Platform: r.Platform, Pulled: time.Now().UTC(),
		Manifest: r.Manifest, RawManifest: r.RawManifest, Config: r.Config, RawConfig: r.RawConfig,
	}, nil
}

// stored looks for the manifest in the store: by its own digest, or by the index it was chosen from for this platform.
func (p *puller) stored(d digest.Digest, want ocispec.Platform) (store.Image, bool, error) {
	img, err := p.store.ByDigest(d, func(img store.Image) bool { return registry.Fits(want, img.Platform) })
	if errors.Is(err, store.ErrNotFound) {
		return store.Image{}, false, nil
	}
	if err != nil {
		return store.Image{}, false, err
	}
	if img.Digest == d {
		img.Index = ""
	}
	if img.Ref != p.ref {
		img.Ref, img.Pulled = p.ref, time.Now().UTC()
	}
	img.From = p.origin
	return img, true, nil
}

// put makes the reference mean the image, unless it does.
func (p *puller) put(img store.Image) error {
	old, err := p.store.Image(cmp.Or(img.Ref, string(img.Digest)))
	if err == nil && old.Digest == img.Digest && (img.Ref == "" && old.From == "" || old.Ref == img.Ref && old.Index == img.Index && old.From == img.From) {
		return nil
	}
	return p.store.Put(img)
}

// layers fetches what is missing, the largest first. The first that fails stops the others.
func (p *puller) layers(ctx context.Context, img store.Image) error {
	type wanted struct {
		desc   ocispec.Descriptor
		diffID digest.Digest
	}
	seen := map[digest.Digest]digest.Digest{}
	var all []wanted
	for n, desc := range img.Manifest.Layers {
		diffID := img.Config.RootFS.DiffIDs[n]
		if before, ok := seen[desc.Digest]; ok {
			if before != diffID {
				return fmt.Errorf("layer %s: %w: it cannot be both %s and %s", desc.Digest, registry.ErrDigest, before, diffID)
			}
			continue
		}
		seen[desc.Digest] = diffID
		all = append(all, wanted{desc, diffID})
	}
	descs := make([]ocispec.Descriptor, len(all))
	for n, w := range all {
		descs[n] = w.desc
	}
	if err := p.space(descs); err != nil {
		return err
	}
	for _, w := range all {
		if !p.store.HasLayer(w.desc.Digest) || p.lacksBlob(w.desc) {
			p.progress.LayerPlanned(string(w.desc.Digest), w.desc.Size)
		}
	}
	slices.SortStableFunc(all, func(a, b wanted) int { return cmp.Compare(b.desc.Size, a.desc.Size) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go p.fetch.run(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(p.memory.layers + maxAhead)
	for _, w := range all {
		inTurn := make(chan any)
		next := sync.OnceFunc(func() { close(inTurn) })
		group.Go(func() error {
			defer next()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := p.layer(ctx, w.desc, w.diffID, next); err != nil {
				return fmt.Errorf("layer %s: %w", w.desc.Digest, err)
			}
			return nil
		})
		<-inTurn
	}
	return group.Wait()
}
