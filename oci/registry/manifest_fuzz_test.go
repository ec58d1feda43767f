package registry

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shelf is where documents lie, by their digests. With a spoiler it gives others than it is asked for.
type shelf struct {
	all   map[digest.Digest][]byte
	spoil func([]byte) []byte
}

func (l shelf) String() string { return "shelf" }

func (l shelf) Document(_ context.Context, d digest.Digest) ([]byte, error) {
	raw, ok := l.all[d]
	if !ok {
		return nil, errors.New("not here")
	}
	if l.spoil != nil {
		raw = l.spoil(raw)
	}
	return raw, nil
}

func (l shelf) put(raw []byte) digest.Digest {
	d := digest.FromBytes(raw)
	l.all[d] = raw
	return d
}

// FuzzManifest resolves an index, a manifest and a configuration of which every byte is the attacker's. What is accepted can
// be read in one way only (CVE-2021-41190), has the digests it is asked for, and no digest in it could be a path. In the
// texts, @config, @manifest and @size stand for the digests of what they name and its size, which no fuzzer would guess.
func FuzzManifest(f *testing.F) {
	const (
		zeros    = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
		config   = `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + zeros + `"]}}`
		layer    = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + zeros + `","size":7}`
		manifest = `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"@config","size":@size},"layers":[` + layer + `]}`
		entry    = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"@manifest","size":@size,"platform":{"os":"linux","architecture":"amd64"}}`
	)
	f.Add(`{"schemaVersion":2,"manifests":[`+entry+`]}`, manifest, config)
	f.Add("", manifest, config)
	f.Add("", strings.Replace(manifest, `"layers"`, `"manifests":[],"layers"`, 1), config)
	f.Add("", strings.Replace(manifest, `"layers"`, `"Manifests":[],"layers"`, 1), config)
	f.Add("", strings.Replace(manifest, zeros, "sha256:../../../../outside/victim", 1), config)
	f.Add("", strings.Replace(manifest, `"size":7`, `"size":-7`, 1), config)
	f.Add("", manifest, strings.Replace(config, zeros, "sha512:"+strings.Repeat("0", 128), 1))
	f.Add(`{"schemaVersion":2,"manifests":[`+entry+`],"layers":null,"config":null}`, manifest, config)
	f.Fuzz(func(t *testing.T, index, manifest, config string) {
		lib := shelf{all: map[digest.Digest][]byte{}}
		fill := func(text, key string, d digest.Digest) []byte {
			return []byte(strings.NewReplacer(key, string(d), "@size", strconv.Itoa(len(lib.all[d]))).Replace(text))
		}
		configDigest := lib.put([]byte(config))
		top := lib.put(fill(manifest, "@config", configDigest))
		if index != "" {
			top = lib.put(fill(index, "@manifest", top))
		}
		want := ocispec.Platform{OS: "linux", Architecture: "amd64"}
		r, err := ResolveIn(t.Context(), lib, top, want)
		if err != nil {
			return
		}
		checkResolved(t, r, top)
		for name, spoil := range map[string]func([]byte) []byte{
			"a space more": func(b []byte) []byte { return append(b[:len(b):len(b)], ' ') },
			"a byte less":  func(b []byte) []byte { return b[:len(b)-1] },
		} {
			lib.spoil = spoil
			if _, err := ResolveIn(t.Context(), lib, top, want); !errors.Is(err, ErrDigest) {
				t.Errorf("%s: %v, want ErrDigest", name, err)
			}
		}
	})
}

var digestRE = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkResolved(t *testing.T, r Resolved, top digest.Digest) {
	t.Helper()
	if digest.FromBytes(r.RawManifest) != r.Digest || r.Digest != top && r.Index != top {
		t.Errorf("asked for %s: manifest %s of index %q", top, r.Digest, r.Index)
	}
	if d := r.Manifest.Config; digest.FromBytes(r.RawConfig) != d.Digest || int64(len(r.RawConfig)) != d.Size {
		t.Errorf("the configuration is not what %+v says", d)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(r.RawManifest, &keys); err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if strings.EqualFold(key, "manifests") || strings.EqualFold(key, "fsLayers") {
			if string(keys[key]) != "null" {
				t.Errorf("a manifest with %q: %s", key, r.RawManifest)
			}
		}
	}
	if len(r.Manifest.Layers) != len(r.Config.RootFS.DiffIDs) || len(r.Manifest.Layers) > maxLayers {
		t.Errorf("%d layers, %d diffIDs", len(r.Manifest.Layers), len(r.Config.RootFS.DiffIDs))
	}
	all := append([]digest.Digest{r.Digest, r.Manifest.Config.Digest}, r.Config.RootFS.DiffIDs...)
	for _, l := range r.Manifest.Layers {
		all = append(all, l.Digest)
		if _, ok := LayerCompression(l.MediaType); !ok || l.Size < 0 {
			t.Errorf("layer %+v", l)
		}
	}
	for _, d := range all {
		if !digestRE.MatchString(string(d)) {
			t.Errorf("digest %q", d)
		}
	}
}
