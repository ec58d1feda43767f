package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

// layout is an OCI image layout on disk (image-layout.md) and the one image in it that is measured.
type layout struct {
	dir      string
	root     ocispec.Descriptor // of the manifest
	manifest ocispec.Manifest
}

// openLayout opens DIR or DIR:TAG; without a tag it takes the first image.
func openLayout(name string) (layout, error) {
	dir, tag := name, ""
	if _, err := os.Stat(dir); err != nil {
		if i := strings.LastIndexByte(name, ':'); i > 0 {
			dir, tag = name[:i], name[i+1:]
		}
	}
	l := layout{dir: dir}
	var index ocispec.Index
	if err := decode(filepath.Join(dir, ocispec.ImageIndexFile), &index); err != nil {
		return l, err
	}
	for _, d := range index.Manifests {
		if tag == "" || d.Annotations[ocispec.AnnotationRefName] == tag {
			l.root = d
			return l, decode(l.blob(d.Digest), &l.manifest)
		}
	}
	return l, fmt.Errorf("no image %q in %s", tag, dir)
}

// writeLayout writes an image, one layer at a time, so that only one has to be in memory.
func writeLayout(dir string, config ocispec.ImageConfig, layers ...func() fixture.Layer) (layout, error) {
	l := layout{dir: dir}
	if err := os.MkdirAll(filepath.Dir(l.blob(digest.FromString(""))), 0o755); err != nil {
		return l, err
	}
	image := fixture.Image{Config: config}
	for _, build := range layers {
		layer := build()
		if err := os.WriteFile(l.blob(layer.Descriptor.Digest), layer.Blob, 0o644); err != nil {
			return l, err
		}
		layer.Blob = nil
		image.Layers = append(image.Layers, layer)
	}
	for _, b := range []fixture.Blob{image.ConfigBlob(), image.Manifest()} {
		if err := os.WriteFile(l.blob(b.Descriptor.Digest), b.Data, 0o644); err != nil {
			return l, err
		}
	}
	l.root = image.Manifest().Descriptor
	return l, decode(l.blob(l.root.Digest), &l.manifest)
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

func (l layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", d.Algorithm().String(), d.Encoded())
}

// layers are the paths of the layers' blobs, lowest first.
func (l layout) layers() (paths []string) {
	for _, d := range l.manifest.Layers {
		paths = append(paths, l.blob(d.Digest))
	}
	return paths
}

// size is that of all layers' blobs, in bytes.
func (l layout) size() (n int64) {
	for _, d := range l.manifest.Layers {
		n += d.Size
	}
	return n
}

// serve makes the layout a registry on a loopback port and returns the image's reference. It answers from the files, with
// ranges and by sendfile: on a machine with few cores a registry that works costs the contenders what it takes.
// See the distribution specification, "Pull".
func (l layout) serve() (ref string, stop func()) {
	server := httptest.NewServer(http.HandlerFunc(l.answer))
	return strings.TrimPrefix(server.URL, "http://") + "/bench/image:1", server.Close
}

func (l layout) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		return // 200: the API is there
	}
	kind, name, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/bench/image/"), "/")
	d, mediaType := digest.Digest(name), "application/octet-stream"
	if kind == "manifests" {
		mediaType = l.root.MediaType
		if name == "1" {
			d = l.root.Digest
		}
	}
	if !ok || d.Validate() != nil || kind == "manifests" && d != l.root.Digest {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", d.String())
	http.ServeFile(w, r, l.blob(d))
}
