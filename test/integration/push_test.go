package integration_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/coracle-run/coracle/test/layout"
)

// push copies the single image of an OCI layout to a registry, by the requests of the distribution specification, and
// returns its digest.
func push(t *testing.T, dir, host, repo, tag string) string {
	t.Helper()
	image, err := layout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + host + "/v2/" + repo
	for _, d := range append(image.Manifest.Layers, image.Manifest.Config) {
		resp := send(t, http.MethodPost, base+"/blobs/uploads/", "", "")
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("starting an upload: %s", resp.Status)
		}
		location, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		query := location.Query()
		query.Set("digest", d.Digest.String())
		location.RawQuery = query.Encode()
		created(t, send(t, http.MethodPut, location.String(), "application/octet-stream", image.Blob(d.Digest)))
	}
	created(t, send(t, http.MethodPut, base+"/manifests/"+url.PathEscape(tag), image.Root.MediaType, image.Blob(image.Root.Digest)))
	return image.Root.Digest.String()
}

// send makes a request whose body is a file's content, or nothing; the answer's body is read to its end.
func send(t *testing.T, method, target, mediaType, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		req.Body, req.ContentLength = f, info.Size()
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp
}

func created(t *testing.T, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", resp.Request.Method, resp.Request.URL, resp.Status)
	}
}
