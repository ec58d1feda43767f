package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

// Docker's media types.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

var versioned = specs.Versioned{SchemaVersion: 2}

// described is how docker describes an image in manifest.json. Names are of files in the archive.
type described struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// findDocker takes the images of docker's manifest.json, and reports whether there is one. An image that the archive has an
// OCI manifest for gets its names only.
func (a *Archive) findDocker(ctx context.Context) (bool, error) {
	raw, err := read(a.files, dockerFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var all []described
	if err := json.Unmarshal(raw, &all); err != nil {
		return false, damaged("%s: %w", dockerFile, err)
	}
	roots, err := a.configs()
	if err != nil {
		return false, err
	}
	hashed := map[string]ocispec.Descriptor{}
	for _, d := range all {
		if err := a.addDocker(ctx, d, roots, hashed); err != nil {
			return false, fmt.Errorf("%s: %w", dockerFile, err)
		}
	}
	return true, nil
}

func (a *Archive) addDocker(ctx context.Context, d described, roots map[digest.Digest]digest.Digest, hashed map[string]ocispec.Descriptor) error {
	config, err := a.listed(d.Config)
	if err != nil {
		return err
	}
	var image Image
	if root, ok := roots[digest.FromBytes(config)]; ok {
		image.Root = root
	} else {
		manifest, err := a.convert(ctx, d, config, hashed)
		if err != nil {
			return err
		}
		image.Root, image.Made = digest.FromBytes(manifest), true
		a.made[image.Root] = manifest
		a.blobs[digest.FromBytes(config)] = d.Config
	}
	for _, tag := range d.RepoTags {
		image.name(tag)
	}
	a.add(image)
	return nil
}

// listed reads a small file that manifest.json names.
func (a *Archive) listed(name string) ([]byte, error) {
	if _, err := inside(name); err != nil {
		return nil, err
	}
	raw, err := read(a.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = damaged("%s is not in it", clip(name))
	}
	return raw, err
}

// maxWalk bounds how many manifests are looked at to find out which image a configuration belongs to.
const maxWalk = 1000

// configs are the configurations of the images of the OCI layout, with the digests by which these are known.
func (a *Archive) configs() (map[digest.Digest]digest.Digest, error) {
	roots, left := map[digest.Digest]digest.Digest{}, maxWalk
	for _, image := range a.images {
		if err := a.walk(image.Root, image.Root, roots, &left, 0); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// walk follows an index to its manifests. Manifests that are not here are those of platforms that were not saved.
func (a *Archive) walk(root, d digest.Digest, roots map[digest.Digest]digest.Digest, left *int, depth int) error {
	const maxDepth = 3
	if *left--; *left < 0 || depth > maxDepth {
		return nil
	}
	raw, err := a.document(d)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, registry.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	var doc struct {
		Config    ocispec.Descriptor   `json:"config"`
		Manifests []ocispec.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || digest.FromBytes(raw) != d {
		return nil //nolint:nilerr // who asks for this image is told
	}
	if doc.Config.Digest != "" {
		if _, ok := roots[doc.Config.Digest]; !ok {
			roots[doc.Config.Digest] = root
		}
	}
	for _, entry := range doc.Manifests {
		if err := a.walk(root, entry.Digest, roots, left, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// convert makes the manifest that docker's old archives have none of: docker's own, of the configuration and the layers as
// they lie there, plain ones by the digests that the configuration has of them. It is what containerd makes of the archive,
// and the same every time.
func (a *Archive) convert(ctx context.Context, d described, rawConfig []byte, hashed map[string]ocispec.Descriptor) ([]byte, error) {
	var config ocispec.Image
	if err := json.Unmarshal(rawConfig, &config); err != nil {
		return nil, damaged("%s: %w", clip(d.Config), err)
	}
	if have, need := len(config.RootFS.DiffIDs), len(d.Layers); have != need {
		return nil, damaged("it has %d layers, and %s knows %d", need, clip(d.Config), have)
	}
	manifest := struct {
		specs.Versioned
		MediaType string               `json:"mediaType"`
		Config    ocispec.Descriptor   `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
	}{
		versioned, dockerManifest,
		ocispec.Descriptor{MediaType: dockerConfig, Digest: digest.FromBytes(rawConfig), Size: int64(len(rawConfig))},
		[]ocispec.Descriptor{},
	}
	for n, name := range d.Layers {
		layer, ok := hashed[name]
		if !ok || layer.MediaType == dockerLayer && layer.Digest != config.RootFS.DiffIDs[n] {
			var err error
			if layer, err = a.layer(ctx, name, config.RootFS.DiffIDs[n]); err != nil {
				return nil, fmt.Errorf("layer %s: %w", clip(name), err)
			}
			hashed[name] = layer
		}
		a.blobs[layer.Digest] = name
		manifest.Layers = append(manifest.Layers, layer)
	}
	return json.Marshal(manifest)
}

// layer describes a layer as it lies in the archive. A plain one is known by its digest; one that is compressed has to be
// read for it.
func (a *Archive) layer(ctx context.Context, name string, diffID digest.Digest) (_ ocispec.Descriptor, err error) {
	if _, err := inside(name); err != nil {
		return ocispec.Descriptor{}, err
	}
	f, err := a.files.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = damaged("it is not in the archive, which may have been cut short")
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var head [6]byte
	if _, err := f.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return ocispec.Descriptor{}, err
	}
	mediaType, known := layerType(head[:])
	switch {
	case !known:
		return ocispec.Descriptor{}, fmt.Errorf("%w: compressed otherwise than with gzip or zstd", registry.ErrMediaType)
	case mediaType == dockerLayer:
		return ocispec.Descriptor{MediaType: mediaType, Digest: diffID, Size: f.Size()}, nil
	case isBlob(name): // if it is not so, its reader will find out
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest("sha256:" + strings.TrimPrefix(name, blobDir)), Size: f.Size()}, nil
	}
	d, err := digest.FromReader(&interruptible{ctx, io.NewSectionReader(f, 0, f.Size())})
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: f.Size()}, err
}

// layerType tells by its first bytes how a layer is packed.
func layerType(head []byte) (mediaType string, known bool) {
	kinds := []string{dockerLayer + ".gzip", dockerLayer + ".zstd", "", ""} // as packings are
	n := slices.IndexFunc(packings, func(p packing) bool { return bytes.HasPrefix(head, []byte(p.magic)) })
	if n < 0 {
		return dockerLayer, true
	}
	return kinds[n], kinds[n] != ""
}

// interruptible ends a long read with its context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // of one read
	io.Reader
}

// Read implements io.Reader.
func (i *interruptible) Read(p []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.Reader.Read(p)
}
