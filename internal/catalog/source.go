package catalog

import (
	"context"
	"errors"

	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Naming says what becomes of the names that images have in archives.
type Naming int

// The ways to treat them.
const (
	Take      Naming = iota // the name means this image from now on
	TakeFree                // it does unless it means another one: a run moves no names
	TakeNoOne               // the image has its digest alone
)

// Source opens what a name means, to pull from it. done gives it back.
func Source(ctx context.Context, st *store.Store, client *registry.Client, name Name, naming Naming) (src pull.Source, done func() error, err error) {
	if !name.IsArchive() {
		return client.Source(name.Ref), func() error { return nil }, nil
	}
	place, err := name.Archive.Absolute()
	if err != nil {
		return nil, nil, err
	}
	opened, err := archive.Open(ctx, place, archive.Options{Scratch: st.Scratch})
	if err != nil {
		return nil, nil, err
	}
	image, err := opened.Image()
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return opened.Source(image, reference(st, image, naming), place.String()), opened.Close, nil
}

// reference is what an image of an archive is stored under.
func reference(st *store.Store, image archive.Image, naming Naming) string {
	if len(image.Names) == 0 || naming == TakeNoOne {
		return ""
	}
	ref := image.Names[0].String()
	if naming == TakeFree {
		if old, err := st.Image(ref); err == nil && old.Digest != image.Root && old.Index != image.Root {
			return ""
		}
	}
	return ref
}

// Stored is the image of the store, whole, that a source means for a platform, if it is there: then there is nothing to pull.
func Stored(ctx context.Context, st *store.Store, src pull.Source, platform string) (store.Image, bool, error) {
	want, err := registry.ParsePlatform(platform)
	if err != nil {
		return store.Image{}, false, err
	}
	d, err := src.Digest(ctx)
	if err != nil {
		return store.Image{}, false, err
	}
	img, err := st.ByDigest(d, func(img store.Image) bool {
		return registry.Fits(want, img.Platform) && len(st.Missing(img)) == 0
	})
	if errors.Is(err, store.ErrNotFound) {
		return store.Image{}, false, nil
	}
	return img, err == nil, err
}

func resolve(ctx context.Context, src pull.Source, platform string) (registry.Resolved, error) {
	want, err := registry.ParsePlatform(platform)
	if err != nil {
		return registry.Resolved{}, err
	}
	d, err := src.Digest(ctx)
	if err != nil {
		return registry.Resolved{}, err
	}
	return src.Resolve(ctx, d, want)
}

// Look resolves the image that an archive's name means, without storing anything: for a platform, or "" for this machine's or
// whichever there is. One that is stored is found as it is there.
func Look(ctx context.Context, st *store.Store, place archive.Name, platform string) (_ store.Image, err error) {
	src, done, err := Source(ctx, st, nil, Name{Archive: place}, TakeNoOne)
	if err != nil {
		return store.Image{}, err
	}
	defer func() { err = errors.Join(err, done()) }()
	if img, ok, err := Stored(ctx, st, src, platform); err != nil || ok {
		return img, err
	}
	r, err := resolve(ctx, src, platform)
	if other, ok := errors.AsType[*registry.PlatformError](err); ok && platform == "" && len(other.Have) > 0 {
		r, err = resolve(ctx, src, other.Have[0]) // to look at it, it need not run here
	}
	if err != nil {
		return store.Image{}, err
	}
	img := store.Image{
		Digest: r.Digest, Index: r.Index, Platform: r.Platform, Manifest: r.Manifest, RawManifest: r.RawManifest, Config: r.Config, RawConfig: r.RawConfig,
	}
	for _, l := range img.Manifest.Layers {
		img.Size += l.Size
	}
	return img, nil
}
