package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// Saved is an image that is written, with the names it gets in the archive.
type Saved struct {
	Image store.Image
	Names []registry.Ref // none by digest; may be empty
}

// Blobs opens a layer in its compressed form, from its beginning. Size and digest are checked here.
type Blobs func(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)

// Save writes images as one tar archive: Docker, which docker load, podman load and skopeo read, and which is an OCI layout,
// too; or OCIArchive, that layout alone. What is written depends on the images alone, not on the time or the store. When it
// fails, what has been written is not an archive.
func Save(ctx context.Context, w io.Writer, t Transport, images []Saved, blobs Blobs) error {
	archive := &tarSink{tar.NewWriter(w)}
	for _, dir := range []string{"blobs/", blobDir} {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: epoch}); err != nil {
			return err
		}
	}
	if err := write(ctx, archive, t, merge(images), blobs); err != nil {
		return err
	}
	return archive.Close()
}

// SaveDir writes images as a directory with an OCI layout. It must not be there, or be empty, and appears whole. Of a process that
// is killed a temporary directory is left beside it, which the next call removes.
func SaveDir(ctx context.Context, dir string, images []Saved, blobs Blobs) (err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return output(dir, fmt.Errorf("there is something in it: %w", fs.ErrExist))
	}
	above := filepath.Dir(filepath.Clean(dir))
	clearDead(above)
	temp, err := fsx.TempDir(above)
	if err != nil {
		return output(dir, err)
	}
	defer func() { err = errors.Join(err, fsx.RemoveAll(temp)) }()
	if err := os.MkdirAll(filepath.Join(temp, blobDir), 0o755); err != nil {
		return output(dir, err)
	}
	if err := os.Chmod(temp, 0o755); err != nil { // others may read what the umask lets them
		return output(dir, err)
	}
	if err := write(ctx, &dirSink{dir: temp, name: dir}, OCI, merge(images), blobs); err != nil {
		return err
	}
	return output(dir, fsx.Rename(temp, dir))
}

// epoch is when everything in an archive was made, so that it is the same each time.
var epoch = time.Unix(0, 0)

// sink is what is written to.
type sink interface {
	file(name string, size int64, r io.Reader) error
}

type tarSink struct{ *tar.Writer }

func (t *tarSink) file(name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}

type dirSink struct {
	dir  string // as long as it is being made
	name string // that it gets
}

func (d *dirSink) file(name string, _ int64, r io.Reader) (err error) {
	f, err := fsx.CreateExclusive(filepath.Join(d.dir, name), 0o644)
	if err != nil {
		return output(d.name, err)
	}
	defer func() { err = errors.Join(err, output(d.name, f.Close())) }()
	return buffered(f, d.name, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// merge makes images with one digest one image.
func merge(images []Saved) []Saved {
	var merged []Saved
	for _, s := range images {
		n := slices.IndexFunc(merged, func(m Saved) bool { return m.Image.Digest == s.Image.Digest })
		if n < 0 {
			n = len(merged)
			merged = append(merged, Saved{Image: s.Image})
		}
		for _, ref := range s.Names {
			if ref.Tag() != "" && !slices.Contains(merged[n].Names, ref) {
				merged[n].Names = append(merged[n].Names, ref)
			}
		}
	}
	return merged
}

// write writes the descriptions first, so that who reads a stream knows what comes.
func write(ctx context.Context, to sink, t Transport, images []Saved, blobs Blobs) error {
	documents := []struct {
		name  string
		value any
	}{
		{layoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}},
		{indexFile, index(t, images)},
	}
	if t == Docker {
		documents = append(documents, struct {
			name  string
			value any
		}{dockerFile, description(images)})
	}
	for _, d := range documents {
		raw, err := json.Marshal(d.value)
		if err != nil {
			return err
		}
		if err := to.file(d.name, int64(len(raw)), bytes.NewReader(raw)); err != nil {
			return err
		}
	}
	written := map[digest.Digest]bool{}
	for _, s := range images {
		if err := writeImage(ctx, to, s.Image, written, blobs); err != nil {
			return fmt.Errorf("saving %s: %w", cmp.Or(s.Image.Ref, string(s.Image.Digest)), err)
		}
	}
	return nil
}

func writeImage(ctx context.Context, to sink, img store.Image, written map[digest.Digest]bool, blobs Blobs) error {
	for _, raw := range [][]byte{img.RawManifest, img.RawConfig} {
		d := digest.FromBytes(raw)
		if written[d] {
			continue
		}
		written[d] = true
		if err := to.file(blobDir+d.Encoded(), int64(len(raw)), bytes.NewReader(raw)); err != nil {
			return err
		}
	}
	for _, layer := range img.Manifest.Layers {
		if written[layer.Digest] {
			continue
		}
		written[layer.Digest] = true
		if err := writeLayer(ctx, to, layer, blobs); err != nil {
			return fmt.Errorf("layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

func writeLayer(ctx context.Context, to sink, desc ocispec.Descriptor, blobs Blobs) (err error) {
	blob, err := blobs(ctx, desc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blob.Close()) }()
	digester := digest.SHA256.Digester()
	exact := &exactly{r: io.TeeReader(&interruptible{ctx, blob}, digester.Hash()), left: desc.Size}
	if err := to.file(blobDir+desc.Digest.Encoded(), desc.Size, exact); err != nil {
		return err
	}
	if got := digester.Digest(); got != desc.Digest {
		return fmt.Errorf("%w: got %s", registry.ErrDigest, got)
	}
	return nil
}

// exactly is a reader that must have as many bytes as were announced.
type exactly struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if e.left < 0 || errors.Is(err, io.EOF) && e.left > 0 {
		return 0, fmt.Errorf("%w: it has another size than the manifest says", registry.ErrDigest)
	}
	return n, err
}

// index is the layout's, with docker's and containerd's annotations. In docker's archives the tag is the reference's name, as
// docker has it; elsewhere it is the whole name, as podman has it: there it is all that there is to choose by.
func index(t Transport, images []Saved) ocispec.Index {
	all := ocispec.Index{Versioned: versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	for _, s := range images {
		platform := s.Image.Platform
		d := ocispec.Descriptor{
			MediaType: cmp.Or(s.Image.Manifest.MediaType, ocispec.MediaTypeImageManifest),
			Digest:    s.Image.Digest, Size: int64(len(s.Image.RawManifest)), Platform: &platform,
		}
		if len(s.Names) == 0 {
			all.Manifests = append(all.Manifests, d)
		}
		for _, ref := range s.Names {
			d.Annotations = map[string]string{imageName: ref.String(), ocispec.AnnotationRefName: ref.String()}
			if t == Docker {
				d.Annotations[ocispec.AnnotationRefName] = ref.Tag()
			}
			all.Manifests = append(all.Manifests, d)
		}
	}
	return all
}

// description is docker's manifest.json.
func description(images []Saved) []described {
	all := []described{}
	for _, s := range images {
		d := described{Config: blobDir + s.Image.Manifest.Config.Digest.Encoded(), Layers: []string{}}
		for _, ref := range s.Names {
			d.RepoTags = append(d.RepoTags, ref.Familiar())
		}
		for _, layer := range s.Image.Manifest.Layers {
			d.Layers = append(d.Layers, blobDir+layer.Digest.Encoded())
		}
		all = append(all, d)
	}
	return all
}
