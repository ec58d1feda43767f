package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// accepted are the manifests asked for: the OCI's, and docker's that mean the same.
const accepted = string(types.OCIManifestSchema1 + ", " + types.OCIImageIndex + ", " + types.DockerManifestSchema2 + ", " + types.DockerManifestList)

// document is a manifest or an index as it came, with its verified digest.
type document struct {
	raw       []byte
	digest    digest.Digest
	mediaType string
	index     bool
}

// Digest is the digest a reference means now: that of an index or of a manifest. A reference by digest costs no request,
// one by tag a HEAD, which registries that count pulls do not count.
func (c *Client) Digest(ctx context.Context, ref Ref) (digest.Digest, error) {
	if ref.digest != "" {
		return ref.digest, nil
	}
	var found digest.Digest
	err := c.again(ctx, ref.String(), func() error {
		return c.each(ctx, ref, func(s *session) (err error) {
			found, err = c.head(ctx, s, ref)
			return err
		})
	})
	if err != nil {
		return "", err
	}
	return found, nil
}

func (c *Client) head(ctx context.Context, s *session, ref Ref) (digest.Digest, error) {
	if s.end.mirror { // nobody counts there, and one that lies about its digests is found out while there is another to ask
		doc, err := c.fetch(ctx, s, ref)
		return doc.digest, err
	}
	a, err := c.do(ctx, s, http.MethodHead, "/manifests/"+s.identifier(ref), http.Header{"Accept": {accepted}})
	if err != nil {
		return "", err
	}
	if a.StatusCode == http.StatusTooManyRequests || a.StatusCode >= http.StatusInternalServerError && a.StatusCode != http.StatusNotImplemented {
		return "", answerError(a)
	}
	if err := a.Body.Close(); err != nil {
		return "", explain(a.Request.URL.Host, err)
	}
	found := digest.Digest(a.Header.Get("Docker-Content-Digest"))
	if a.StatusCode == http.StatusOK && checkDigest(found) == nil {
		return found, nil
	}
	// A registry need not say the digest, and an answer to HEAD does not say what is wrong. Asking for the whole does.
	doc, err := c.fetch(ctx, s, ref)
	if err != nil {
		return "", err
	}
	return doc.digest, nil
}

// manifest reads a manifest or an index and verifies it.
func (c *Client) manifest(ctx context.Context, ref Ref) (document, error) {
	c.mu.Lock()
	doc, ok := c.seen[ref.digest]
	c.mu.Unlock()
	if ok {
		return doc, nil
	}
	err := c.again(ctx, ref.String(), func() error {
		return c.each(ctx, ref, func(s *session) (err error) {
			doc, err = c.fetch(ctx, s, ref)
			return err
		})
	})
	return doc, err
}

func (c *Client) fetch(ctx context.Context, s *session, ref Ref) (document, error) {
	a, err := c.get(ctx, s, "/manifests/"+s.identifier(ref), http.Header{"Accept": {accepted}}, http.StatusOK) //nolint:bodyclose // readAll closes it
	if err != nil {
		return document{}, err
	}
	raw, err := readAll(a, MaxManifest, "manifest of "+ref.String())
	if err != nil {
		return document{}, err
	}
	doc := document{raw: raw, digest: digest.FromBytes(raw)}
	for _, said := range []digest.Digest{ref.digest, digest.Digest(a.Header.Get("Docker-Content-Digest"))} {
		if said != "" && said.Algorithm() == digest.SHA256 && said != doc.digest {
			return document{}, fmt.Errorf("manifest of %s from %s: %w: expected %s, got %s", ref, s.end.host, ErrDigest, said, doc.digest)
		}
	}
	if err := doc.classify(a.Header.Get("Content-Type")); err != nil {
		return document{}, fmt.Errorf("manifest of %s: %w", ref, err)
	}
	c.mu.Lock()
	c.seen[doc.digest] = doc
	c.mu.Unlock()
	return doc, nil
}

// classify finds out what a document is. It must say so in one way only: the header and the document's own media type
// agree, and it has either the fields of an index or those of a manifest. Were both there, two clients could see two
// different images under one digest (CVE-2021-41190).
func (d *document) classify(contentType string) error {
	var probe struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	header, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		header = ""
	}
	if err := json.Unmarshal(d.raw, &probe); err != nil {
		if header == "text/html" {
			return fmt.Errorf("%w: it is a web page", ErrNotRegistry)
		}
		return fmt.Errorf("%w: %w", ErrNotRegistry, err)
	}
	if probe.FSLayers != nil || probe.SchemaVersion == 1 || types.MediaType(header).IsSchema1() {
		return fmt.Errorf("%w: docker schema 1, which was given up in 2017; the image must be pushed anew by its publisher", ErrMediaType)
	}
	isIndex, isManifest := probe.Manifests != nil, probe.Config != nil || probe.Layers != nil
	if isIndex == isManifest {
		if isIndex {
			return fmt.Errorf("%w: it is an index and a manifest at once", ErrNotImage)
		}
		return fmt.Errorf("%w: neither an index nor a manifest", ErrNotImage)
	}
	for _, mediaType := range []string{probe.MediaType, header} {
		index, known := isIndexType(mediaType)
		if known && index != isIndex {
			return fmt.Errorf("%w: its media type is %s and its fields are not", ErrNotImage, mediaType)
		}
		if d.mediaType == "" && known {
			d.mediaType = mediaType
		}
	}
	if _, known := isIndexType(probe.MediaType); !known && probe.MediaType != "" {
		return fmt.Errorf("%w: %s", ErrMediaType, clip(probe.MediaType))
	}
	d.index = isIndex
	return nil
}

// isIndexType tells the media types of indexes and manifests. Registries send others, such as application/json or
// text/plain, which say nothing.
func isIndexType(mediaType string) (index, known bool) {
	t := types.MediaType(mediaType)
	return t.IsIndex(), t.IsIndex() || t.IsImage()
}
