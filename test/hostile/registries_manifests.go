package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by manifests, indexes and configurations.
func manifests() []Registry {
	return []Registry{
		{
			Case: Case{"manifest-swapped", "HEAD says one digest, GET brings another manifest", "distribution-spec, pulling", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				other := fixture.Image{}.Manifest()
				rw.Header().Set("Docker-Content-Digest", digest.FromString("the one you want").String())
				serve(rw, req, other.Descriptor.MediaType, other.Data)
			}),
			Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-digest-path", "the registry says the digest is sha256:../../../../outside/victim", "CVE-2021-41103 class", Reject},
			Lie: func(w *World, honest http.Handler) http.Handler {
				return relabel(honest, isManifest, "Docker-Content-Digest", "sha256:../../../../outside/victim")
			}, Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-digest-sha512", "HEAD says a sha512 digest", "image-spec, descriptor.md", Accept},
			Lie: func(w *World, honest http.Handler) http.Handler {
				return relabel(honest, isManifest, "Docker-Content-Digest", "sha512:"+strings.Repeat("0", 128))
			},
		},
		{
			Case: Case{"manifest-100m", "a manifest that says it has 100 MB", "facts: cap 4 MiB; CVE-2022-23648 class", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				rw.Header().Set("Content-Length", "100000000")
				rw.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				flood(rw, req, 100_000_000, ' ')
			}),
			Says: "larger than accepted",
		},
		{
			Case: Case{"manifest-endless", "a manifest without a length and without an end", "facts: cap 4 MiB", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				rw.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				flood(rw, req, 1<<40, ' ')
			}),
			Says: "larger than accepted",
		},
		{
			Case: Case{"manifest-deep", "JSON of a million brackets", "CVE-2020-36067 class", Reject},
			Push: push(func(*fixture.Image) []byte { return bytes.Repeat([]byte("["), 1_000_000) }), Says: "not a registry's answer",
		},
		{
			Case: Case{"manifest-deep-inside", "10,001 brackets in an annotation", "golang issue 31789", Reject},
			Push: push(func(im *fixture.Image) []byte {
				return with(im, "x", json.RawMessage(strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001)))
			}), Says: "not a registry's answer",
		},
		{
			Case: Case{"manifest-html", "a web page in place of the manifest", "hotel networks", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				serve(rw, req, "text/html", []byte("<html><title>Log in</title>"))
			}),
			Says: "web page",
		},
		{
			Case: Case{"manifest-null", "the manifest is null", "own", Reject},
			Push: push(func(*fixture.Image) []byte { return []byte("null") }), Says: "not a container image",
		},
		{
			Case: Case{"manifest-and-index", "one document that is a manifest and an index: two clients see two images", "CVE-2021-41190", Reject},
			Push: push(func(im *fixture.Image) []byte { return with(im, "manifests", []any{}) }), Says: "an index and a manifest at once",
		},
		{
			Case: Case{"manifest-typed-index", "a manifest whose mediaType says index", "CVE-2021-41190", Reject},
			Push: push(func(im *fixture.Image) []byte { return with(im, "mediaType", ocispec.MediaTypeImageIndex) }), Says: "not a container image",
		},
		{
			Case: Case{"manifest-served-as-index", "a manifest that is served with the content type of an index", "CVE-2021-41190", Reject},
			Push: func(reg *fixture.Registry) {
				im := honestImage()
				reg.Push(Name, im)
				reg.PushManifest(Name, fixture.NewBlob(ocispec.MediaTypeImageIndex, im.Manifest().Data))
			}, Says: "its media type is",
		},
		{
			Case: Case{"manifest-case-twins", "keys that differ in their case: \"manifests\" as \"Manifests\", which Go takes for the same", "CVE-2020-16250 class; encoding/json", Reject},
			Push: push(func(im *fixture.Image) []byte { return with(im, "Manifests", []any{}) }), Says: "at once",
		},
		{
			Case: Case{"manifest-schema1", "docker's schema 1", "distribution, deprecated 2017", Reject},
			Push: push(func(*fixture.Image) []byte { return []byte(`{"schemaVersion":1,"fsLayers":[],"history":[]}`) }), Says: "schema 1",
		},
		{
			Case: Case{"manifest-artifact", "an artifact, not an image: a Helm chart", "image-spec, artifacts", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" }), Says: "its configuration is of type",
		},
		{
			Case: Case{"manifest-artifact-controls", "a media type with ESC, which is printed", "CVE-2003-0063 class (terminals)", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Config.MediaType = "\x1b]0;owned\x07" }), Says: `\x1b]0;owned\a`,
		},
		{
			Case: Case{"manifest-layer-type", "a layer of an unknown media type", "image-spec, layer.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].MediaType = "application/x-evil" }), Says: "unsupported media type",
		},
		{
			Case: Case{"manifest-layer-encrypted", "an encrypted layer", "containers/ocicrypt", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].MediaType += "+encrypted" }), Says: "unsupported media type",
		},
		{
			Case: Case{"manifest-layer-digest-path", "a layer whose digest is sha256:../../../../outside/victim", "CVE-2021-41103 class; umoci issue", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../../outside/victim" }), Says: "digest",
		},
		{
			Case: Case{"manifest-config-digest-path", "a configuration whose digest is a path", "CVE-2021-41103 class", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Config.Digest = "sha256:../../../../outside/victim" }), Says: "digest",
		},
		{
			Case: Case{"manifest-digest-case", "a digest in capital letters, which some file systems take for the other", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) {
				m.Layers[0].Digest = digest.Digest("sha256:" + strings.ToUpper(m.Layers[0].Digest.Encoded()))
			}), Says: "digest",
		},
		{
			Case: Case{"manifest-digest-short", "a digest of 63 digits", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Digest = m.Layers[0].Digest[:70] }), Says: "digest",
		},
		{
			Case: Case{"manifest-digest-md5", "a digest by an algorithm that anybody can collide", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" }), Says: "digest",
		},
		{
			Case: Case{"manifest-size-negative", "a layer of -1 bytes", "own", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }), Says: "size -1",
		},
		{
			Case: Case{"manifest-size-huge", "a layer that says it has 2^62 bytes: no room, no allocation", "own", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size = 1 << 62 }), Says: "does not fit",
		},
		{
			Case: Case{"manifest-size-overflow", "two layers whose sizes add up to a negative number", "own", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size, m.Layers[1].Size = 1<<62, 1<<62 }), Says: "does not fit",
		},
		{
			Case: Case{"manifest-size-small", "a layer that is larger than the manifest says", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size-- }), Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-size-large", "a layer that is smaller than the manifest says", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size++ }), Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-size-zero", "a layer of 0 bytes that has some", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Size = 0 }), Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-config-size", "a configuration that is larger than the manifest says", "image-spec, descriptor.md", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Config.Size-- }), Says: "does not match its digest",
		},
		{
			Case: Case{"manifest-config-100m", "a configuration that says it has 100 MB", "facts: cap 4 MiB", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Config.Size = 100_000_000 }), Says: "larger than accepted",
		},
		{
			Case: Case{"manifest-10k-layers", "10,000 layers", "overlayfs: 500", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) {
				for len(m.Layers) < 10_000 {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			}), Says: "10000 layers",
		},
		{
			Case: Case{"manifest-platform-other", "a manifest by tag for another platform, without an index", "image-spec, config.md", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.Architecture = "s390x" }), Says: "not available for this platform",
		},
		{
			Case: Case{"manifest-foreign-urls", "layers with urls that lead to this machine and to the metadata service: they are not asked", "CVE-2020-15157 (containerd)", Reject},
			Push: pushManifest(func(m *ocispec.Manifest) {
				m.Layers[0].Digest = digest.FromString("not here")
				m.Layers[0].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
				m.Layers[0].URLs = []string{"https://169.254.169.254/latest/meta-data", "https://home.example/", "https://[::1]/", "http://127.0.0.1/", "file:///etc/passwd", "https://stranger.example/"}
			}), Says: "not found",
		},
		{
			Case: Case{"manifest-data", "a layer with inline data that is not what its digest says", "image-spec, descriptor.md, data", Accept},
			Push: pushManifest(func(m *ocispec.Manifest) { m.Layers[0].Data = []byte("evil") }),
		},
		{
			Case: Case{"manifest-subject", "a manifest with subject and artifactType of nonsense", "image-spec, manifest.md", Accept},
			Push: pushManifest(func(m *ocispec.Manifest) {
				m.ArtifactType = "\x1b[2J"
				m.Subject = &ocispec.Descriptor{MediaType: "x", Digest: "sha256:../../x", Size: -1}
			}),
		},
		{
			Case: Case{"diffid-wrong", "the uncompressed layer is not what the configuration says", "image-spec, config.md, rootfs", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = digest.FromString("other") }), Says: "uncompressed it should be",
		},
		{
			Case: Case{"diffid-swapped", "two layers whose diffIDs are exchanged", "image-spec, config.md, rootfs", Reject},
			Push: pushConfig(func(c *ocispec.Image) { ids := c.RootFS.DiffIDs; ids[0], ids[1] = ids[1], ids[0] }), Says: "uncompressed it should be",
		},
		{
			Case: Case{"diffid-few", "fewer diffIDs than layers", "image-spec, config.md, rootfs", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.RootFS.DiffIDs = c.RootFS.DiffIDs[:1] }), Says: "layers",
		},
		{
			Case: Case{"diffid-many", "more diffIDs than layers", "image-spec, config.md, rootfs", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, c.RootFS.DiffIDs...) }), Says: "layers",
		},
		{
			Case: Case{"diffid-path", "a diffID that is a path", "CVE-2021-41103 class", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.RootFS.DiffIDs[0] = "sha256:../../../../outside/victim" }), Says: "digest",
		},
		{
			Case: Case{"diffid-none", "no diffIDs at all", "image-spec, config.md, rootfs", Reject},
			Push: pushConfig(func(c *ocispec.Image) { c.RootFS.DiffIDs = nil }), Says: "layers",
		},
		{
			Case: Case{"config-not-json", "a configuration that is no JSON, under its right digest", "own", Reject},
			Push: pushRawConfig([]byte("\x1b[2J{{{")), Says: "not a container image",
		},
		{
			Case: Case{"index-loop", "an index that says it is the manifest it holds: 20 indexes, one in the other", "CVE-2021-41190 class; facts: index loops", Reject},
			Push: func(reg *fixture.Registry) {
				inner := honestImage()
				reg.Push(Name, inner)
				desc := inner.Manifest().Descriptor
				for range 20 {
					b := indexOf(desc)
					reg.PushManifest("x/y@"+b.Descriptor.Digest.String(), b)
					desc = b.Descriptor
				}
				reg.PushManifest(Name, indexOf(desc))
			}, Says: "nested too deeply",
		},
		{
			Case: Case{"index-itself", "an index whose entry has the index's own tag's digest changed on each request", "own", Reject},
			Lie: on(isManifest, func(_ *World, rw http.ResponseWriter, req *http.Request) {
				b := indexOf(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(req.URL.Path), Size: 10})
				rw.Header().Set("Docker-Content-Digest", b.Descriptor.Digest.String())
				serve(rw, req, b.Descriptor.MediaType, b.Data)
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"index-20k", "an index of 20,000 manifests, none of which fits: the message does not name them all", "own", Reject},
			Lie: index(func(d ocispec.Descriptor) (all []ocispec.Descriptor) {
				for i := range 20_000 {
					d.Platform = &ocispec.Platform{OS: fmt.Sprintf("os%d", i), Architecture: "\x1b[2J"}
					all = append(all, d)
				}
				return all
			}), Says: "not available for this platform",
		},
		{
			Case: Case{"index-platform-controls", "an index whose platforms have ESC in their names, which are printed", "CVE-2003-0063 class (terminals)", Reject},
			Lie: index(func(d ocispec.Descriptor) []ocispec.Descriptor {
				d.Platform = &ocispec.Platform{OS: "\x1b]0;owned\x07", Architecture: "\u202egnp"}
				return []ocispec.Descriptor{d}
			}), Says: `\x1b]0;owned\a`,
		},
		{
			Case: Case{"index-lies-about-platform", "an index that calls an image for another machine one for this", "image-spec, image-index.md", Reject},
			Push: func(reg *fixture.Registry) {
				im := honestImage()
				im.Platform = ocispec.Platform{OS: "linux", Architecture: "s390x"}
				reg.Push(Name, im)
				d := im.Manifest().Descriptor
				d.Platform = &ocispec.Platform{OS: "linux", Architecture: thisArch}
				reg.PushManifest(Name, indexOf(d))
			}, Says: "not available for this platform",
		},
		{
			Case: Case{"index-size", "an index that lies about the size of its manifest", "image-spec, descriptor.md", Reject},
			Lie: index(func(d ocispec.Descriptor) []ocispec.Descriptor {
				d.Size++
				return []ocispec.Descriptor{d}
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"index-digest-path", "an index whose manifest's digest is a path", "CVE-2021-41103 class", Reject},
			Lie: index(func(d ocispec.Descriptor) []ocispec.Descriptor {
				d.Digest = "sha256:../../../../outside/victim"
				return []ocispec.Descriptor{d}
			}), Says: "digest",
		},
		{
			Case: Case{"index-empty", "an index of nothing", "image-spec, image-index.md", Reject},
			Lie:  index(func(ocispec.Descriptor) []ocispec.Descriptor { return nil }), Says: "not available for this platform",
		},
	}
}
