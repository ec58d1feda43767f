package hostile_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestCuts cuts a layer at each hundredth of its compressed form, and at each of its uncompressed one, under digests that
// are right: the archive itself has to show that it is not whole.
func TestCuts(t *testing.T) {
	reg := fixture.Serve(t)
	archive := fixture.Tar(dir("d"), fixture.File("d/text", strings.Repeat("coracle ", 4000), 0o644), fixture.Symlink("l", "d"),
		fixture.File("d/last", strings.Repeat("x", 5000), 0o644))
	s, err := store.Open(location.Dirs{Data: t.TempDir() + "/data", Layers: t.TempDir() + "/layers"})
	mustDo(t, err)
	for _, c := range []fixture.Compression{fixture.Gzip, fixture.Zstd} {
		whole := fixture.LayerOf(c, archive)
		for percent := range 100 {
			cut := fixture.LayerOf(fixture.Plain, whole.Blob[:len(whole.Blob)*percent/100])
			cut.Descriptor.MediaType, cut.DiffID = whole.Descriptor.MediaType, whole.DiffID
			wantCut(t, reg, s, fmt.Sprintf("cut/%s%d:1", strings.TrimPrefix(string(c), "+"), percent), cut)
		}
	}
	content := bytes.LastIndexByte(archive, 'x') // what comes after it is padding, and the end that may be missing
	for percent := range 100 {
		at := content * percent / 100
		cut := fixture.LayerOf(fixture.Gzip, archive[:at])
		if at%512 == 0 || inPadding(archive, at) {
			continue // between two entries nothing can be seen but the digest
		}
		wantCut(t, reg, s, fmt.Sprintf("cut/plain%d:1", percent), cut)
	}
	images, err := s.Images()
	if err != nil || len(images) > 0 {
		t.Errorf("the store has %d images, %v", len(images), err)
	}
}

// inPadding reports whether nothing but zeros stands between a place and the next block.
func inPadding(archive []byte, at int) bool {
	rest := archive[at : (at+511)/512*512]
	return len(bytes.Trim(rest, "\x00")) == 0
}

func wantCut(t *testing.T, reg *fixture.Registry, s *store.Store, name string, layer fixture.Layer) {
	t.Helper()
	reg.Push(name, fixture.Image{Layers: []fixture.Layer{layer}})
	ref, err := registry.ParseRef(reg.Ref(name))
	mustDo(t, err)
	_, err = pull.Image(t.Context(), s, registry.NewClient(registry.Options{}).Source(ref), pull.Options{})
	told := errors.Is(err, unpack.ErrLayer) || errors.Is(err, registry.ErrMediaType)
	if !told && (err == nil || !strings.Contains(err.Error(), "damaged compressed stream")) {
		t.Errorf("%s: %v", name, err)
	}
	if s.HasLayer(layer.Descriptor.Digest) {
		t.Errorf("%s: the layer is in the store", name)
	}
}
