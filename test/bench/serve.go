package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/test/layout"
)

// A registry is one image on loopback ports. It answers from the files, with ranges and, where nothing shapes the line, by
// sendfile: on a machine with few cores a registry that works costs the contenders what it takes.
// See the distribution specification, "Pull".
type registry struct {
	image  layout.Image
	ref    string       // over plain http
	tlsRef string       // over https, for who has no other; nobody vouches for its certificate
	served atomic.Int64 // bytes of bodies that went out, those in the sockets' buffers with them
	stop   func()
}

func serve(image layout.Image, line link) *registry {
	r := &registry{image: image}
	handler := line.delayed(http.HandlerFunc(r.answer))
	plain, secure := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	plain.Listener, secure.Listener = line.limited(plain.Listener), line.limited(secure.Listener)
	plain.Start()
	secure.StartTLS()
	r.ref = strings.TrimPrefix(plain.URL, "http://") + "/bench/image:1"
	r.tlsRef = strings.TrimPrefix(secure.URL, "https://") + "/bench/image:1"
	r.stop = func() {
		for _, s := range []*httptest.Server{plain, secure} {
			s.CloseClientConnections()
			s.Close()
		}
	}
	return r
}

func (r *registry) answer(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/v2/" {
		return // 200: the API is there
	}
	kind, name, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/bench/image/"), "/")
	root := r.image.Root
	d, mediaType := digest.Digest(name), "application/octet-stream"
	if kind == "manifests" {
		mediaType = root.MediaType
		if name == "1" {
			d = root.Digest
		}
	}
	if !ok || d.Validate() != nil || kind == "manifests" && d != root.Digest {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", d.String())
	http.ServeFile(&counted{w, &r.served}, req, r.image.Blob(d))
}

// blobURL is where a layer's blob is.
func (r *registry) blobURL(d digest.Digest) string {
	host, _, _ := strings.Cut(r.ref, "/")
	return "http://" + host + "/v2/bench/image/blobs/" + d.String()
}

// counted counts the bytes of a body while it goes out, and does not keep sendfile from being used.
type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// countEvery is how much goes out between two looks at the count.
const countEvery = 1 << 20

// ReadFrom sends what package http passes for a file: a file with a limit, which is what sendfile wants to see.
func (c *counted) ReadFrom(r io.Reader) (sent int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	to, fast := c.ResponseWriter.(io.ReaderFrom)
	if !ok || !fast {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	for limited.N > 0 && err == nil {
		var n int64
		n, err = to.ReadFrom(&io.LimitedReader{R: limited.R, N: min(limited.N, countEvery)})
		limited.N -= n
		sent += n
		c.n.Add(n)
		if n == 0 {
			break // the file is shorter than it said
		}
	}
	return sent, err
}
