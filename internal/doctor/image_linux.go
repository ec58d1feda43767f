package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docker/go-units"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// found is the image that is to run, as far as it is known before a pull.
type found struct {
	store.Image
	stored bool // nothing is to be pulled
	src    pull.Source
	err    error
}

// findImage looks the image up: in the store, else where its name says; it is p.image.
func (p *patient) findImage() found {
	ctx, cancel := context.WithTimeoutCause(context.Background(), networkPatience-time.Second, fmt.Errorf("there was no answer within %s", networkPatience-time.Second))
	defer cancel()
	want, err := registry.ParsePlatform(p.Platform)
	if err == nil {
		err = p.Permit(*p.Image)
	}
	if err != nil {
		return found{err: err}
	}
	s, err := p.openStore()
	if err != nil {
		return found{err: err}
	}
	if img, _, err := catalog.Find(s, p.Asked); err == nil && img.Whole() && registry.Fits(want, img.Platform) {
		return found{Image: img, stored: true}
	}
	switch {
	case p.Image.IsArchive():
		img, err := catalog.Look(ctx, s, p.Image.Archive, p.Platform)
		return found{Image: img, err: err}
	case p.Offline:
		return found{err: errOffline}
	}
	src := p.Client(func(string) {}).Source(p.Image.Ref)
	d, err := src.Digest(ctx)
	if err != nil {
		return found{err: err}
	}
	r, err := src.Resolve(ctx, d, want)
	if err != nil {
		return found{err: err}
	}
	return found{Image: store.Image{Digest: r.Digest, Index: r.Index, Platform: r.Platform, Manifest: r.Manifest, Config: r.Config}, src: src}
}

var errOffline = errors.New("it is not stored, and --offline asks nobody else")

func (p *patient) openStore() (*store.Store, error) {
	at := p.place()
	if at.err != nil {
		return nil, at.err
	}
	return store.Look(at.Dirs)
}

const imageWhy = "a run of this image begins with it"

// examineImage tells whether the image can be had, for this machine.
func (p *patient) examineImage(ctx context.Context) []Finding {
	img, err := wait(ctx, p.image)
	if err == nil {
		err = img.err
	}
	switch {
	case errors.Is(err, errOffline):
		return []Finding{note(err.Error(), "a run would pull it").by(You, "coracle pull "+p.Asked)}
	case err != nil:
		return []Finding{p.advice(failure(err.Error(), imageWhy), err)}
	}
	platform := registry.FormatPlatform(img.Platform)
	if here, err := registry.ParsePlatform(""); err == nil && !registry.Fits(here, img.Platform) {
		return []Finding{failure(fmt.Sprintf("it is for %s, and this machine is %s", platform, registry.FormatPlatform(here)), "its programs cannot be executed here without an emulator").
			by(You, "leave out --platform, if the image is there for this machine, too")}
	}
	if img.stored {
		return []Finding{ok(fmt.Sprintf("%s is stored, for %s: a run asks no registry", p.Asked, platform))}
	}
	return []Finding{ok(fmt.Sprintf("%s for %s can be had: %d layers", img.Digest, platform, len(img.Manifest.Layers)))}
}

// space compares what the image takes with what there is.
func (p *patient) space(ctx context.Context) []Finding {
	img, err := wait(ctx, p.image)
	if err != nil || img.err != nil {
		return []Finding{note("not known: the image could not be looked at", "").by(You, first("image"))}
	}
	if img.stored {
		return []Finding{ok("the image is here already")}
	}
	s, err := p.openStore()
	if err != nil {
		return []Finding{note(err.Error(), "")}
	}
	e, err := pull.Estimate(s, img.src, img.Manifest.Layers)
	if err != nil {
		return []Finding{note(err.Error(), "")}
	}
	if e == nil {
		return []Finding{ok("all its layers are here already")}
	}
	const why = "a pull that cannot fit is refused before anything is fetched; one that does not ends when the disk is full"
	switch {
	case e.Cannot():
		return []Finding{failure(e.Error(), why).by(You, e.Hint())}
	case e.MayNot():
		return []Finding{warning("it may not fit: "+e.Numbers(), why).by(You, e.Hint())}
	}
	bytes := func(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }
	return []Finding{ok(fmt.Sprintf("it needs about %s (at most %s) of the %s that are free", bytes(e.Bytes.Usual), bytes(e.Bytes.Most), bytes(e.Free)))}
}
