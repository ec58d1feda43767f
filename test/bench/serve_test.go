package main

import (
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/layout"
)

// small is an image of three layers, of which the first is long enough to be served in several pieces.
func small(t *testing.T) layout.Image {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "oci")
	w, err := layout.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n, body := range []string{noise(3<<20 + 5), "two", "three"} {
		_, err := w.Layer("test", ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
			_, err := io.WriteString(w, body)
			return err
		})
		if err != nil {
			t.Fatal(n, err)
		}
	}
	if err := w.Finish(ocispec.ImageConfig{}); err != nil {
		t.Fatal(err)
	}
	image, err := layout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// noise is bytes that gzip does not make smaller.
func noise(length int) string {
	b, state := make([]byte, length), uint32(1)
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return string(b)
}

// get fetches a path of a registry, or a range of it.
func get(t *testing.T, r *registry, path, ranged string) (status int, body []byte) {
	t.Helper()
	host, _, _ := strings.Cut(r.ref, "/")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if ranged != "" {
		req.Header.Set("Range", ranged)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err = io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func TestRegistry(t *testing.T) {
	image := small(t)
	r := serve(image, link{})
	defer r.stop()
	for path, want := range map[string]digest.Digest{
		"/v2/bench/image/manifests/1":                                        image.Root.Digest,
		"/v2/bench/image/manifests/" + image.Root.Digest.String():            image.Root.Digest,
		"/v2/bench/image/blobs/" + image.Manifest.Layers[0].Digest.String():  image.Manifest.Layers[0].Digest,
		"/v2/bench/image/blobs/" + image.Manifest.Config.Digest.String():     image.Manifest.Config.Digest,
		"/v2/bench/image/manifests/2":                                        "",
		"/v2/bench/image/blobs/../../../index.json":                          "",
		"/v2/bench/image/blobs/" + digest.FromString("another one").String(): "",
	} {
		status, body := get(t, r, path, "")
		if got := digest.FromBytes(body); (status == http.StatusOK) != (want != "") || want != "" && got != want {
			t.Errorf("%s: status %d, %s", path, status, got)
		}
	}
}

// servedAtLast is what was served, once it is no less than what is expected: the last piece is counted when it is with the client.
func servedAtLast(r *registry, expected int64) int64 {
	const patience = 10 * time.Second
	for end := time.Now().Add(patience); r.served.Load() < expected && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return r.served.Load()
}

// TestServedIsCounted fetches a blob whole, and a part of it that is longer than what goes out between two counts.
func TestServedIsCounted(t *testing.T) {
	image := small(t)
	for name, line := range map[string]link{"plain": {}, "shaped": {rate: 1 << 30}} {
		r := serve(image, line)
		d := image.Manifest.Layers[0]
		path := "/v2/bench/image/blobs/" + d.Digest.String()
		_, whole := get(t, r, path, "")
		if got := servedAtLast(r, d.Size); got != d.Size || int64(len(whole)) != d.Size {
			t.Errorf("%s: %d bytes counted, %d received, of %d", name, got, len(whole), d.Size)
		}
		status, part := get(t, r, path, "bytes=7-2000006")
		if got := servedAtLast(r, d.Size+2_000_000) - d.Size; status != http.StatusPartialContent || got != 2_000_000 || string(part) != string(whole[7:2_000_007]) {
			t.Errorf("%s: status %d, %d bytes counted, %d received", name, status, got, len(part))
		}
		r.stop()
	}
}
