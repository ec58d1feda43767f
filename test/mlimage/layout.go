package mlimage

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI image layout (image-layout.md) that is being written, with one image.
type layout struct {
	dir     string
	layers  []ocispec.Descriptor
	diffIDs []digest.Digest
	history []ocispec.History
}

func newLayout(dir string) (*layout, error) {
	return &layout{dir: dir}, os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755)
}

// addLayer adds the gzip layer of an archive and returns its compressed size in bytes.
func (l *layout) addLayer(by string, archive func(io.Writer) error) (_ int64, err error) {
	f, err := os.CreateTemp(l.dir, "layer-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	blob, plain := digest.SHA256.Digester(), digest.SHA256.Digester()
	zip := gzip.NewWriter(io.MultiWriter(f, blob.Hash()))
	err = archive(io.MultiWriter(zip, plain.Hash()))
	if err = errors.Join(err, zip.Close()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	l.layers = append(l.layers, ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageLayerGzip, Digest: blob.Digest(), Size: info.Size(),
	})
	l.diffIDs = append(l.diffIDs, plain.Digest())
	l.history = append(l.history, ocispec.History{CreatedBy: by})
	return info.Size(), errors.Join(f.Chmod(0o644), os.Rename(f.Name(), l.blob(blob.Digest())))
}

// finish writes the configuration, the manifest and the index.
func (l *layout) finish(config ocispec.ImageConfig) error {
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

func (l *layout) addJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return d, os.WriteFile(l.blob(d.Digest), raw, 0o644)
}

func (l *layout) write(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, name), raw, 0o644)
}

func (l *layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded())
}
