package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

const thisArch = runtime.GOARCH

// honestImage is an image of two layers.
func honestImage() fixture.Image {
	return fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Gzip, dir("etc"), file("etc/passwd", "root:x:0:0::/:/bin/sh\n"), file("noise", noise(200_000))),
		fixture.NewLayer(fixture.Gzip, file("top", "top")),
	}}
}

// HonestImage is what an honest registry of the tests holds.
func HonestImage() fixture.Image { return honestImage() }

// noise is text that does not compress, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// push stores the honest image, and under its name a document made from it.
func push(change func(*fixture.Image) []byte) func(*fixture.Registry) {
	return func(reg *fixture.Registry) {
		im := honestImage()
		reg.Push(Name, im)
		reg.PushManifest(Name, fixture.NewBlob(ocispec.MediaTypeImageManifest, change(&im)))
	}
}

// with is the image's manifest with one more field, which comes last.
func with(im *fixture.Image, key string, value any) []byte {
	raw := im.Manifest().Data
	text, ok := value.(json.RawMessage) // which may be what json would not write
	if !ok {
		text = marshal(value)
	}
	return fmt.Appendf(nil, "%s,%s:%s}", raw[:len(raw)-1], marshal(key), text)
}

// pushManifest stores the image with a manifest that lies.
func pushManifest(change func(*ocispec.Manifest)) func(*fixture.Registry) {
	return push(func(im *fixture.Image) []byte {
		var m ocispec.Manifest
		must(json.Unmarshal(im.Manifest().Data, &m))
		change(&m)
		return marshal(m)
	})
}

// pushConfig stores the image with a configuration that lies, under its right digest.
func pushConfig(change func(*ocispec.Image)) func(*fixture.Registry) {
	return func(reg *fixture.Registry) {
		im := honestImage()
		var c ocispec.Image
		must(json.Unmarshal(im.ConfigBlob().Data, &c))
		change(&c)
		pushRawConfig(marshal(c))(reg)
	}
}

func pushRawConfig(raw []byte) func(*fixture.Registry) {
	return func(reg *fixture.Registry) {
		b := fixture.NewBlob(ocispec.MediaTypeImageConfig, raw)
		reg.PushBlob("x/y", b)
		pushManifest(func(m *ocispec.Manifest) { m.Config = b.Descriptor })(reg)
	}
}

func indexOf(entries ...ocispec.Descriptor) fixture.Blob {
	return fixture.NewBlob(ocispec.MediaTypeImageIndex, marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: append([]ocispec.Descriptor{}, entries...),
	}))
}

// index answers for the tag with an index made from the description of the honest manifest.
func index(entries func(ocispec.Descriptor) []ocispec.Descriptor) func(*World, http.Handler) http.Handler {
	tag := func(req *http.Request) bool { return strings.HasSuffix(req.URL.Path, "/manifests/1") }
	byDigest := func(req *http.Request, d digest.Digest) bool {
		return strings.HasSuffix(req.URL.Path, "/manifests/"+d.String())
	}
	return func(w *World, honest http.Handler) http.Handler {
		b := indexOf(entries(w.Image.Manifest().Descriptor)...)
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if tag(req) || byDigest(req, b.Descriptor.Digest) {
				rw.Header().Set("Docker-Content-Digest", b.Descriptor.Digest.String())
				serve(rw, req, b.Descriptor.MediaType, b.Data)
				return
			}
			honest.ServeHTTP(rw, req)
		})
	}
}

// relabel changes one header of the honest registry's answers.
func relabel(honest http.Handler, match func(*http.Request) bool, key, value string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if match(req) {
			rw = &changed{rw, key, value}
		}
		honest.ServeHTTP(rw, req)
	})
}

type changed struct {
	http.ResponseWriter
	key, value string
}

// WriteHeader puts the changed header in.
func (c *changed) WriteHeader(status int) {
	c.Header().Set(c.key, c.value)
	c.ResponseWriter.WriteHeader(status)
}

// serve answers with a whole document.
func serve(rw http.ResponseWriter, req *http.Request, mediaType string, data []byte) {
	rw.Header().Set("Content-Type", mediaType)
	rw.Header().Set("Content-Length", fmt.Sprint(len(data)))
	rw.WriteHeader(http.StatusOK)
	if req.Method != http.MethodHead {
		_, _ = rw.Write(data) // the client may have gone
	}
}

// flood sends n bytes, or as many as the client takes.
func flood(rw http.ResponseWriter, req *http.Request, n int64, b byte) {
	if req.Method == http.MethodHead {
		return
	}
	chunk := make([]byte, 64<<10)
	for i := range chunk {
		chunk[i] = b
	}
	for ; n > 0; n -= int64(len(chunk)) {
		if _, err := rw.Write(chunk[:min(n, int64(len(chunk)))]); err != nil {
			return
		}
	}
}

func marshal(v any) []byte {
	raw, err := json.Marshal(v)
	must(err)
	return raw
}

// must stops on an error that only a mistake in this package can cause.
func must(err error) {
	if err != nil {
		panic("hostile: " + err.Error())
	}
}

// Unpacked is the archive in a layer.
func Unpacked(l fixture.Layer) []byte {
	var r io.Reader = bytes.NewReader(l.Blob)
	var err error
	switch l.Descriptor.MediaType {
	case ocispec.MediaTypeImageLayerGzip:
		r, err = gzip.NewReader(r)
	case ocispec.MediaTypeImageLayerZstd:
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	}
	must(err)
	raw, err := io.ReadAll(r)
	must(err)
	return raw
}
