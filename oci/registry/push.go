package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// uploads is how many blobs are sent at once, as docker does it.
const uploads = 3

// Upload is an image that is pushed.
type Upload struct {
	Manifest  []byte // byte for byte what the registry gets
	MediaType string
	Config    ocispec.Descriptor
	RawConfig []byte
	Layers    []ocispec.Descriptor

	// Open reads a layer in its compressed form, from its beginning. It may be called several times for one layer, and by
	// several goroutines. What it reads is checked by the registry, by its digest.
	Open func(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
	// Elsewhere are other repositories that have the image's blobs. Of those in the same registry it takes them by itself.
	Elsewhere []Ref
	// Progress is told how it goes; may be nil.
	Progress PushProgress
}

// PushProgress is told what a push does. Its methods are called from several goroutines.
type PushProgress interface {
	// LayerExists says that the registry has a layer, or took it from another repository.
	LayerExists(digest string, size int64)
	// LayerStarted says that a layer is being sent; again, from the beginning, when that has to be repeated.
	LayerStarted(digest string, size int64)
	// LayerRead says that n more bytes of a layer have been sent.
	LayerRead(digest string, n int64)
	// LayerDone says that the registry has it.
	LayerDone(digest string)
}

// Push sends an image to a registry, under a tag. What the registry has is not sent again; the manifest comes last, so that
// the tag never means an image that is not whole. A broken upload goes on where the registry says that it broke off, or
// begins anew. The digest is that of the manifest, which the registry confirmed.
func (c *Client) Push(ctx context.Context, ref Ref, up Upload) (digest.Digest, error) {
	d := digest.FromBytes(up.Manifest)
	s, err := c.pushSession(ctx, ref)
	if err != nil {
		return d, err
	}
	p := &pusher{client: c, session: s, up: up, from: mountable(ref, up.Elsewhere)}
	for _, repository := range p.from {
		s.access.widen("repository:" + repository + ":pull")
	}
	if err := p.blobs(ctx); err != nil {
		return d, err
	}
	return d, c.again(ctx, ref.String(), func() error { return p.manifest(ctx, ref, d) })
}

// mountable are the paths of other repositories in the same registry.
func mountable(ref Ref, elsewhere []Ref) []string {
	const most = 3
	var paths []string
	for _, other := range elsewhere {
		if other.Registry() == ref.Registry() && other.path() != ref.path() && !slices.Contains(paths, other.path()) && len(paths) < most {
			paths = append(paths, other.path())
		}
	}
	return paths
}

// widen has tokens asked for that are good for more.
func (a *access) widen(scope string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.scopes, scope) {
		a.scopes, a.header = append(a.scopes, scope), "" // the registry asks again
	}
}

// pusher is one push.
type pusher struct {
	client  *Client
	session *session
	up      Upload
	from    []string // paths of repositories to take blobs from
}

// blobs sends the layers, and the configuration when they are there.
func (p *pusher) blobs(ctx context.Context) error {
	sent := map[digest.Digest]bool{}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for _, l := range p.up.Layers {
		if sent[l.Digest] {
			continue
		}
		sent[l.Digest] = true
		group.Go(func() error {
			if err := p.blob(inner, l, p.up.Open, p.up.Progress); err != nil {
				return fmt.Errorf("layer %s: %w", l.Digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	config := func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(p.up.RawConfig)), nil
	}
	if err := p.blob(ctx, p.up.Config, config, nil); err != nil {
		return fmt.Errorf("configuration %s: %w", p.up.Config.Digest, err)
	}
	return nil
}

type opener func(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)

// blob makes sure that the registry has one blob.
func (p *pusher) blob(ctx context.Context, desc ocispec.Descriptor, open opener, progress PushProgress) error {
	if progress == nil {
		progress = noProgress{}
	}
	there := false
	err := p.client.again(ctx, string(desc.Digest), func() (err error) {
		there, err = p.exists(ctx, desc)
		return err
	})
	if err != nil {
		return err
	}
	u := &upload{pusher: p, desc: desc, open: open, progress: progress}
	for _, repository := range p.from {
		if there {
			break
		}
		if there, err = u.mount(ctx, repository); err != nil {
			return err
		}
	}
	if there {
		progress.LayerExists(string(desc.Digest), desc.Size)
		return nil
	}
	if err := u.send(ctx); err != nil {
		return err
	}
	progress.LayerDone(string(desc.Digest))
	return nil
}

// exists asks whether the registry has a blob.
func (p *pusher) exists(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	a, err := p.client.do(ctx, p.session, http.MethodHead, "/blobs/"+string(desc.Digest), http.Header{})
	if err != nil {
		return false, err
	}
	switch a.StatusCode {
	case http.StatusOK:
		return true, a.Body.Close()
	case http.StatusNotFound:
		return false, a.Body.Close()
	}
	return false, p.session.blame(answerError(a))
}

// manifest sends the manifest.
func (p *pusher) manifest(ctx context.Context, ref Ref, d digest.Digest) error {
	target, err := url.Parse(p.session.base + "/manifests/" + ref.identifier())
	if err != nil {
		return err
	}
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.up.Manifest)), nil }
	a, err := p.request(ctx, http.MethodPut, target, http.Header{"Content-Type": {p.up.MediaType}}, int64(len(p.up.Manifest)), body)
	if err != nil {
		return err
	}
	if a.StatusCode != http.StatusCreated && a.StatusCode != http.StatusOK {
		return p.session.blame(answerError(a))
	}
	if err := a.Body.Close(); err != nil {
		return err
	}
	if said := digest.Digest(a.Header.Get("Docker-Content-Digest")); said != "" && said.Algorithm() == d.Algorithm() && said != d {
		return fmt.Errorf("manifest of %s: %w: the registry stored %s in place of %s", ref, ErrDigest, said, d)
	}
	return nil
}

// request sends a request with a body, which body opens from its beginning. The body may be nil.
func (p *pusher) request(ctx context.Context, method string, target *url.URL, header http.Header, size int64, body func() (io.ReadCloser, error)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", userAgent)
	if body != nil && size > 0 {
		if req.Body, err = body(); err != nil {
			return nil, err
		}
		req.ContentLength, req.GetBody = size, body
	}
	a, err := p.session.http.Do(req)
	if err != nil {
		return nil, p.session.blame(explain(req.URL.Host, reason(ctx, err)))
	}
	return a, nil
}

type noProgress struct{}

func (noProgress) LayerExists(string, int64)  {}
func (noProgress) LayerStarted(string, int64) {}
func (noProgress) LayerRead(string, int64)    {}
func (noProgress) LayerDone(string)           {}

// errGone means that the registry knows nothing of an upload any more.
var errGone = errors.New("the registry has given up the upload")
