// Package layout writes OCI image layouts for tests and benchmarks, one layer at a time, so that an image may be much larger
// than memory. Every user may read what it writes.
package layout

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Writer is an OCI image layout (image-layout.md) that is being written, with one image.
type Writer struct {
	dir     string
	layers  []ocispec.Descriptor
	diffIDs []digest.Digest
	history []ocispec.History
}

// Create begins a layout in the directory dir, which it makes.
func Create(dir string) (*Writer, error) {
	return &Writer{dir: dir}, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755)
}

// Layer adds a layer of a media type: what archive writes, compressed as the type says. by is the command that made it, as
// the image's history has it. It returns the compressed size in bytes.
func (l *Writer) Layer(by, mediaType string, archive func(io.Writer) error) (_ int64, err error) {
	f, err := os.CreateTemp(l.dir, "layer-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	blob, plain := digest.SHA256.Digester(), digest.SHA256.Digester()
	packer, err := compress(io.MultiWriter(f, blob.Hash()), mediaType)
	if err != nil {
		return 0, err
	}
	err = archive(io.MultiWriter(packer, plain.Hash()))
	if err = errors.Join(err, packer.Close()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	l.layers = append(l.layers, ocispec.Descriptor{MediaType: mediaType, Digest: blob.Digest(), Size: info.Size()})
	l.diffIDs = append(l.diffIDs, plain.Digest())
	l.history = append(l.history, ocispec.History{CreatedBy: by})
	return info.Size(), errors.Join(f.Chmod(0o644), os.Rename(f.Name(), l.blob(blob.Digest())))
}

// Format changes when the same layers would become other blobs: caches have it in their keys.
const Format = "1"

// compress is the usual compression at its usual level. For gzip that is Go's own, which most builders of images use; that of
// klauspost would store what it can make only a little smaller, and so make it easy to read.
func compress(to io.Writer, mediaType string) (io.WriteCloser, error) {
	switch mediaType {
	case ocispec.MediaTypeImageLayerGzip:
		return gzip.NewWriter(to), nil
	case ocispec.MediaTypeImageLayerZstd:
		return zstd.NewWriter(to, zstd.WithEncoderConcurrency(1))
	}
	return nil, fmt.Errorf("no compression for %s", mediaType)
}

// Finish writes the configuration, the manifest and the index.
func (l *Writer) Finish(config ocispec.ImageConfig) error {
	configured, err := l.addJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   config,
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: l.diffIDs},
		History:  l.history,
	})
	if err != nil {
		return err
	}
	manifest, err := l.addJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    configured,
		Layers:    l.layers,
	})
	if err != nil {
		return err
	}
	return errors.Join(
		l.write(ocispec.ImageIndexFile, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2},
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{manifest},
		}),
		l.write(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}),
		os.Chmod(l.dir, 0o755),
	)
}

func (l *Writer) addJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return d, os.WriteFile(l.blob(d.Digest), raw, 0o644)
}

func (l *Writer) write(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, name), raw, 0o644)
}

func (l *Writer) blob(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded())
}
