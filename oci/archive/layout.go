package archive

import (
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

const (
	// imageName is where docker and containerd write the full name of an image into an index.
	imageName = "io.containerd.image.name"
	blobDir   = "blobs/sha256/"
)

var blobRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^blobs/sha256/[0-9a-f]{64}$`) })

// isBlob reports whether a name is that of a blob in an OCI layout.
func isBlob(name string) bool { return blobRE().MatchString(name) }

// isLayout reports whether there is an OCI layout of a version that is known.
func (a *Archive) isLayout() (bool, error) {
	raw, err := read(a.files, layoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var layout ocispec.ImageLayout
	if err := json.Unmarshal(raw, &layout); err != nil {
		return false, damaged("%s: %w", layoutFile, err)
	}
	if !strings.HasPrefix(layout.Version, "1.") {
		return false, damaged("an OCI layout of version %q", clip(layout.Version))
	}
	return true, nil
}

// findLayout takes the images of index.json. Entries of one name, or of none, that are for different platforms are one image.
func (a *Archive) findLayout() error {
	raw, err := read(a.files, indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged("no %s in it", indexFile)
	}
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return damaged("%s: %w", indexFile, err)
	}
	type key struct{ tag, name string }
	var order []key
	groups := map[key][]ocispec.Descriptor{}
	for _, d := range index.Manifests {
		if !isImage(d) {
			continue
		}
		k := key{d.Annotations[ocispec.AnnotationRefName], d.Annotations[imageName]}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], d)
	}
	for _, k := range order {
		if err := a.addGroup(k.tag, k.name, groups[k]); err != nil {
			return err
		}
	}
	return nil
}

// isImage tells images from signatures, attestations and whatever else is kept in layouts.
func isImage(d ocispec.Descriptor) bool {
	if d.Platform != nil && (d.Platform.OS == "unknown" || d.Platform.Architecture == "unknown") {
		return false
	}
	switch d.MediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerIndex, "":
		return true
	}
	return false
}

// addGroup takes in entries that have one name.
func (a *Archive) addGroup(tag, name string, entries []ocispec.Descriptor) error {
	first := newImage(tag, name)
	first.Root = entries[0].Digest
	platforms := map[string]bool{}
	for _, d := range entries {
		if d.Platform != nil {
			platforms[registry.FormatPlatform(*d.Platform)] = true
		}
	}
	switch {
	case len(entries) == 1:
		a.add(first)
	case len(platforms) == len(entries):
		raw, err := json.Marshal(ocispec.Index{Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
		if err != nil {
			return damaged("%s: %w", indexFile, err)
		}
		first.Root = digest.FromBytes(raw)
		a.made[first.Root] = raw
		a.add(first)
	default:
		for _, d := range entries {
			image := newImage(tag, name)
			image.Root = d.Digest
			a.add(image)
		}
	}
	return nil
}

// newImage is an image with the names of its annotations. What has neither a tag nor a path is a tag alone.
func newImage(tag, name string) Image {
	image := Image{Tag: tag}
	for _, text := range []string{name, tag} {
		if strings.ContainsAny(text, "/:") {
			image.name(text)
		}
	}
	return image
}

// name adds a name; one that cannot be stored under is no name.
func (i *Image) name(text string) {
	ref, err := registry.ParseRef(text)
	if err != nil || ref.Tag() == "" {
		return
	}
	for _, other := range i.Names {
		if other == ref {
			return
		}
	}
	i.Names = append(i.Names, ref)
}

// add takes an image in; one that is there already only gets more names.
func (a *Archive) add(image Image) {
	for n := range a.images {
		known := &a.images[n]
		if known.Root == image.Root && (known.Tag == image.Tag || len(known.Names)+len(image.Names) > 0) {
			for _, ref := range image.Names {
				known.name(ref.String())
			}
			return
		}
	}
	a.images = append(a.images, image)
}
