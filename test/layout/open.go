package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Image is one image of a layout on disk.
type Image struct {
	Dir      string
	Root     ocispec.Descriptor // of the manifest
	Manifest ocispec.Manifest
	Config   ocispec.Image
}

// Open opens DIR or DIR:TAG; without a tag it takes the first image.
func Open(name string) (Image, error) {
	dir, tag := name, ""
	if _, err := os.Stat(dir); err != nil {
		if i := strings.LastIndexByte(name, ':'); i > 0 {
			dir, tag = name[:i], name[i+1:]
		}
	}
	im := Image{Dir: dir}
	var index ocispec.Index
	if err := decode(filepath.Join(dir, ocispec.ImageIndexFile), &index); err != nil {
		return im, err
	}
	for _, d := range index.Manifests {
		if tag == "" || d.Annotations[ocispec.AnnotationRefName] == tag {
			im.Root = d
			if err := decode(im.Blob(d.Digest), &im.Manifest); err != nil {
				return im, err
			}
			return im, decode(im.Blob(im.Manifest.Config.Digest), &im.Config)
		}
	}
	return im, fmt.Errorf("no image %q in %s", tag, dir)
}

func decode(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

// Blob is the path of a blob.
func (im Image) Blob(d digest.Digest) string {
	return filepath.Join(im.Dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// Blobs are the paths of the layers' blobs, lowest first.
func (im Image) Blobs() (paths []string) {
	for _, d := range im.Manifest.Layers {
		paths = append(paths, im.Blob(d.Digest))
	}
	return paths
}

// Size is that of all layers' blobs, in bytes.
func (im Image) Size() (n int64) {
	for _, d := range im.Manifest.Layers {
		n += d.Size
	}
	return n
}

// Layer is the archive in a layer. It says what it is by its first bytes, whatever its media type claims.
func (im Image) Layer(d ocispec.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(im.Blob(d.Digest))
	if err != nil {
		return nil, err
	}
	r, err := inflate(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("layer %s: %w", d.Digest, err), f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

func inflate(f *os.File) (io.Reader, error) {
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return nil, err
	}
	switch {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return gzip.NewReader(f)
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		r, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		return r, err
	}
	return f, nil
}
