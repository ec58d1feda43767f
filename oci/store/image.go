package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// Image is a stored image: one manifest for one platform, with the reference it was asked for by.
type Image struct {
	Ref      string           `json:"ref"`             // canonical; "" when it has none, or a later pull moved it away
	From     string           `json:"from,omitempty"`  // where it can be had again when that is not Ref: an archive, or the reference it was tagged from
	Digest   digest.Digest    `json:"digest"`          // of the platform's manifest
	Index    digest.Digest    `json:"index,omitempty"` // of the index the manifest was chosen from, if there was one
	Platform ocispec.Platform `json:"platform"`
	Pulled   time.Time        `json:"pulled"`
	Size     int64            `json:"size"` // bytes of all layers, compressed
	Manifest ocispec.Manifest `json:"manifest"`
	Config   ocispec.Image    `json:"config"`

	RawManifest []byte `json:"-"` // as the registry sent it
	RawConfig   []byte `json:"-"`

	store *Store // that has it; nil of one that no store has yet
	whole bool
	parts []part   // of its stack; nil: it has none
	since removals // before whole was found out
}

// Whole reports whether all layers were here and could be trusted when the image was read from the store; Missing takes a look
// now.
func (i Image) Whole() bool { return i.whole }

// Unpacked is how many bytes the layers have, unpacked, that are here now.
func (i Image) Unpacked() (bytes int64) {
	if i.store == nil {
		return 0
	}
	for _, d := range i.Layers() {
		layer, _ := i.store.Layer(d) // 0 of one that is not here
		bytes += layer.Unpacked
	}
	return bytes
}

// Layers are the digests of the image's layers, the lowest first.
func (i Image) Layers() []digest.Digest {
	layers := make([]digest.Digest, len(i.Manifest.Layers))
	for n, l := range i.Manifest.Layers {
		layers[n] = l.Digest
	}
	return layers
}

const (
	manifestName = "manifest.json"
	configName   = "config.json"
	imageName    = "image.json"
)

// Put stores a verified image and makes img.Ref mean it. RawManifest and RawConfig are what is stored; they must have the
// digests img.Digest and that of the configuration in the manifest. The layers are stored before, one by one. An image the
// reference meant before stays, by its digest. Without a reference the image is stored by its digest alone.
func (s *Store) Put(img Image) error {
	for range publishAttempts {
		if err := s.putImage(img); err != nil {
			return fmt.Errorf("storing image %s: %w", img.Ref, err)
		}
		if err := s.putTag(img); err != nil {
			return fmt.Errorf("storing image %s: %w", img.Ref, err)
		}
		// From here on the reference protects the image. Before, it may have been removed as one that has none.
		if _, err := os.Lstat(s.imageDir(img.Digest)); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return fmt.Errorf("storing image %s: it was removed %d times meanwhile", img.Ref, publishAttempts)
}

func (s *Store) putImage(img Image) (err error) {
	if _, err := decode(img.Digest, img.RawManifest, img.RawConfig); err != nil {
		return err
	}
	if _, err := s.readImage(img.Digest); err == nil {
		return nil // content by digest: there is nothing newer to write
	}
	dir, err := fsx.TempDir(s.dataTmp())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsx.RemoveAll(dir)) }()
	note, err := json.MarshalIndent(img.tag(), "", "  ")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{manifestName: img.RawManifest, configName: img.RawConfig, imageName: note} {
		if err := fsx.WriteFile(filepath.Join(dir, name), data, 0o600, fsx.Sync); err != nil {
			return err
		}
	}
	return s.publishImage(dir, img.Digest)
}

// publishImage renames a finished image directory into place. One that is there already is either as good, or damaged.
func (s *Store) publishImage(dir string, d digest.Digest) error {
	target := s.imageDir(d)
	err := fsx.Rename(dir, target)
	if fsx.IsNotEmpty(err) {
		if _, readErr := s.readImage(d); readErr == nil {
			return nil
		}
		if _, err := s.roots.Discard(target, s.dataTmp()); err != nil {
			return err
		}
		err = fsx.Rename(dir, target)
	}
	if err != nil {
		return err
	}
	return fsx.SyncDir(s.imagesDir())
}

// Image finds an image by its canonical reference, by "name@digest", by the digest of its manifest or index, or by the
// first digits (at least four) of its manifest's digest. The errors are ErrNotFound, ErrAmbiguous and ErrCorrupt. The
// layers may be missing: see Missing.
func (s *Store) Image(name string) (Image, error) {
	img, err := s.find(name)
	if err != nil {
		return Image{}, fmt.Errorf("image %s: %w", name, err)
	}
	return img, nil
}

// backPatience is how long a reference is believed more than the absence of its image.
const backPatience, backPause = 40 * time.Millisecond, 2 * time.Millisecond

func (s *Store) find(name string) (Image, error) {
	for try := 0; ; try++ {
		t, err := readTag(s.refFile(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Image{}, err
		}
		if err != nil || t.Ref != name {
			break
		}
		img, err := s.tagged(t)
		if !errors.Is(err, ErrNotFound) || try >= int(backPatience/backPause) {
			return img, err
		}
		time.Sleep(backPause) // who removes images may have it in hand, and give it back for the reference's sake
	}
	_, after, byDigest := strings.Cut(name, "@")
	if !byDigest {
		after = name
	}
	return s.findDigest(after)
}

// findDigest finds an image by a digest or the beginning of one.
func (s *Store) findDigest(id string) (Image, error) {
	hex, full := strings.CutPrefix(id, string(digest.SHA256)+":")
	if len(hex) < 4 || strings.Trim(hex, "0123456789abcdef") != "" {
		return Image{}, ErrNotFound
	}
	images, err := s.Images()
	if err != nil {
		return Image{}, err
	}
	if img, ok := ofIndex(images, digest.Digest(id)); full && ok {
		return img, nil
	}
	fits := map[digest.Digest]Image{}
	for _, img := range images {
		if strings.HasPrefix(img.Digest.Encoded(), hex) {
			if _, there := fits[img.Digest]; !there {
				fits[img.Digest] = img
			}
		}
	}
	if len(fits) > 1 {
		e := &AmbiguousError{ID: id}
		for d := range fits {
			e.Fits = append(e.Fits, string(d))
		}
		slices.Sort(e.Fits)
		return Image{}, e
	}
	for _, img := range fits {
		return img, nil
	}
	return Image{}, ErrNotFound
}

// ofIndex is the image that was chosen from an index: of several, the one for this machine, else the one pulled last.
// images are in that order.
func ofIndex(images []Image, index digest.Digest) (found Image, ok bool) {
	for _, img := range images {
		if img.Index != index {
			continue
		}
		if img.Platform.OS == runtime.GOOS && img.Platform.Architecture == runtime.GOARCH {
			return img, true
		}
		if !ok {
			found, ok = img, true
		}
	}
	return found, ok
}

// ByDigest finds the image, of those that fit the one pulled last, whose manifest or index has a digest. The error is
// ErrNotFound.
func (s *Store) ByDigest(d digest.Digest, fits func(Image) bool) (Image, error) {
	images, err := s.Images()
	if err != nil {
		return Image{}, err
	}
	for _, img := range images {
		if (img.Digest == d || img.Index == d) && fits(img) {
			return img, nil
		}
	}
	return Image{}, fmt.Errorf("image %s: %w", d, ErrNotFound)
}

// Images are all stored images, the latest pull first: one for each reference, and those no reference means any more. One
// that is damaged is left out.
func (s *Store) Images() ([]Image, error) {
	tags, err := s.tags()
	if err != nil {
		return nil, err
	}
	var images []Image
	named := map[digest.Digest]bool{}
	for _, t := range tags {
		img, err := s.tagged(t)
		if err != nil {
			continue
		}
		named[img.Digest] = true
		images = append(images, img)
	}
	stored, err := s.storedImages()
	if err != nil {
		return nil, err
	}
	for _, d := range stored {
		if named[d] {
			continue
		}
		if img, err := s.readImage(d); err == nil {
			img.Ref = ""
			images = append(images, img)
		}
	}
	slices.SortStableFunc(images, func(a, b Image) int { return b.Pulled.Compare(a.Pulled) })
	return images, nil
}

// readImage reads an image by its digest and verifies it.
func (s *Store) readImage(d digest.Digest) (Image, error) {
	dir := s.imageDir(d)
	note, err := readTag(filepath.Join(dir, imageName))
	if err != nil {
		return Image{}, err
	}
	manifest, err := fsx.ReadRegular(filepath.Join(dir, manifestName), mostOfFile)
	if err != nil {
		return Image{}, err
	}
	config, err := fsx.ReadRegular(filepath.Join(dir, configName), mostOfFile)
	if err != nil {
		return Image{}, err
	}
	img, err := decode(d, manifest, config)
	if err != nil {
		return Image{}, err
	}
	img.take(note)
	for _, l := range img.Manifest.Layers {
		img.Size += l.Size
	}
	img.store, img.whole, img.since = s, true, s.removals()
	img.parts = s.findStack(img.Layers())
	for _, d := range img.looked() {
		img.whole = img.whole && s.stands(d)
	}
	return img, nil
}

// decode checks a manifest and its configuration against their digests and parses them.
func decode(d digest.Digest, manifest, config []byte) (Image, error) {
	img := Image{Digest: d, RawManifest: manifest, RawConfig: config}
	if err := blob.CheckDigest(d); err != nil {
		return Image{}, err
	}
	if got := digest.FromBytes(manifest); got != d {
		return Image{}, fmt.Errorf("%w: manifest %s has the digest %s", ErrCorrupt, d, got)
	}
	if err := json.Unmarshal(manifest, &img.Manifest); err != nil {
		return Image{}, fmt.Errorf("%w: manifest %s: %w", ErrCorrupt, d, err)
	}
	if got := digest.FromBytes(config); got != img.Manifest.Config.Digest {
		return Image{}, fmt.Errorf("%w: configuration %s has the digest %s", ErrCorrupt, img.Manifest.Config.Digest, got)
	}
	if err := json.Unmarshal(config, &img.Config); err != nil {
		return Image{}, fmt.Errorf("%w: configuration %s: %w", ErrCorrupt, img.Manifest.Config.Digest, err)
	}
	for _, l := range img.Manifest.Layers {
		if err := blob.CheckDigest(l.Digest); err != nil {
			return Image{}, fmt.Errorf("%w: manifest %s: %w", ErrCorrupt, d, err)
		}
	}
	return img, nil
}

// Missing are the layers of an image that are not here, or not to be trusted: what a pull has to fetch.
func (s *Store) Missing(img Image) []digest.Digest {
	var missing []digest.Digest
	for _, d := range img.Layers() {
		if !s.HasLayer(d) && !slices.Contains(missing, d) {
			missing = append(missing, d)
		}
	}
	return missing
}

// Keep reports whether all layers of an image that was whole are still here, now that a lease names them, and returns it without
// its stack where only that has gone. Where nobody has removed any since it was read, that is all that is asked; else it costs two looks
// at each.
func (s *Store) Keep(img Image) (kept Image, here bool) {
	if img.whole && img.since != (removals{}) && img.since == s.removals() {
		return img, true
	}
	if img.parts != nil {
		img.parts = s.findStack(img.Layers())
	}
	for _, d := range img.looked() {
		if _, err := os.Lstat(filepath.Join(s.layerDir(d), layerName)); err != nil || s.leaves(d) {
			return img, false
		}
	}
	return img, true
}
