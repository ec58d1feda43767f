package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// tag is what a reference means: a file in images/refs, and, for the reference a manifest was first stored by, the file
// image.json beside it.
type tag struct {
	Ref      string           `json:"ref"`
	From     string           `json:"from,omitempty"`
	Digest   digest.Digest    `json:"digest"`
	Index    digest.Digest    `json:"index,omitempty"`
	Platform ocispec.Platform `json:"platform"`
	Pulled   time.Time        `json:"pulled"`
}

func (i Image) tag() tag {
	return tag{Ref: i.Ref, From: i.From, Digest: i.Digest, Index: i.Index, Platform: i.Platform, Pulled: i.Pulled}
}

func (i *Image) take(t tag) {
	i.Ref, i.From, i.Index, i.Platform, i.Pulled = t.Ref, t.From, t.Index, t.Platform, t.Pulled
}

// putTag makes the reference mean the image. Of one without a reference only where it can be had again may be new.
func (s *Store) putTag(img Image) error {
	t, file := img.tag(), s.refFile(img.Ref)
	if img.Ref == "" {
		file = filepath.Join(s.imageDir(img.Digest), imageName)
		note, err := readTag(file)
		if err != nil {
			return err
		}
		if img.From == "" || note.From == img.From || note.From == "" && note.Ref != "" {
			return nil
		}
		t, t.From = note, img.From
	}
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return fsx.WriteVia(s.dataTmp(), file, raw, 0o600, fsx.Sync)
}

// refFile is the file of a reference. References are longer than names of files may be, so the key is a hash.
func (s *Store) refFile(ref string) string {
	return filepath.Join(s.refsDir(), digest.FromString(ref).Encoded()[:32]+".json")
}

// tags are all references. A file that cannot be read as one is passed over: pulling writes it anew.
func (s *Store) tags() ([]tag, error) {
	files, err := os.ReadDir(s.refsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // of a store that is only looked at (Try)
		return nil, fmt.Errorf("listing references: %w", err)
	}
	var tags []tag
	for _, f := range files {
		if t, err := readTag(filepath.Join(s.refsDir(), f.Name())); err == nil {
			tags = append(tags, t)
		}
	}
	return tags, nil
}

func readTag(path string) (tag, error) {
	raw, err := fsx.ReadRegular(path, mostOfFile)
	if err != nil {
		return tag{}, err
	}
	var t tag
	if err := json.Unmarshal(raw, &t); err != nil {
		return tag{}, fmt.Errorf("reference file %s: %w: %w", path, ErrCorrupt, err)
	}
	return t, blob.CheckDigest(t.Digest)
}

// tagged is the image a reference means.
func (s *Store) tagged(t tag) (Image, error) {
	img, err := s.readImage(t.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return Image{}, ErrNotFound
	}
	if err != nil {
		return Image{}, err
	}
	img.take(t)
	return img, nil
}
