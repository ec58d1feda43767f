package pull_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/test/fixture"
)

// mirrors writes a registries.conf in which the hosts are mirrors of the first, in order.
func mirrors(t *testing.T, own string, hosts ...string) {
	t.Helper()
	text := "[[registry]]\nlocation = \"" + own + "\"\n"
	for _, h := range hosts {
		text += "[[registry.mirror]]\nlocation = \"" + h + "\"\n"
	}
	file := filepath.Join(t.TempDir(), "registries.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_REGISTRIES_CONF", file)
}

// A mirror whose layers are wrong, break off or are not there is passed over with one line, in one stream or in ranges, and
// the image is whole and keeps its name.
func TestLayersOfABadMirror(t *testing.T) {
	for name, bad := range map[string]func(w http.ResponseWriter, r *http.Request){
		"wrong": func(w http.ResponseWriter, r *http.Request) {
			serveFat(&flipped{ResponseWriter: w}, r)
		},
		"breaks off":   func(w http.ResponseWriter, r *http.Request) { begin(w, r, 1000) },
		"not there":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"out of order": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"too short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write(make([]byte, 10))
		},
	} {
		for way, change := range map[string]func(*options){"one stream": func(*options) {}, "ranges": inRanges} {
			t.Run(name+", "+way, func(t *testing.T) {
				st := newStore(t)
				mirror := newWarehouse(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
					bad(w, r)
					return true
				})
				own := newWarehouse(t, nil)
				mirrors(t, own.Host(), mirror.Host())
				var mu sync.Mutex
				var passed []string
				img, err := fetch(t, st, own.Ref("a:1"), change, func(o *options) {
					o.registry.Note = func(text string) {
						mu.Lock()
						defer mu.Unlock()
						if strings.Contains(text, "passed over") {
							passed = append(passed, text)
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if img.Ref != own.Ref("a:1") || len(st.Missing(img)) != 0 {
					t.Errorf("the image is %s, and lacks %v", img.Ref, st.Missing(img))
				}
				if len(passed) != 1 || !strings.Contains(passed[0], mirror.Host()) {
					t.Errorf("said %q", passed)
				}
				clean(t, st)
			})
		}
	}
}

// An image that is wrong in itself is not fetched from one place after the other.
func TestWrongImageIsNotTheMirrorsFault(t *testing.T) {
	st := newStore(t)
	im := fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip, fixture.File("a", "a", 0o644))}}
	im.Layers[0].DiffID = fat().Layers[0].DiffID
	mirror, own := fixture.Serve(t), fixture.Serve(t)
	mirror.Push("a:1", im)
	own.Push("a:1", im)
	mirrors(t, own.Host(), mirror.Host())
	if _, err := fetch(t, st, own.Ref("a:1")); !errors.Is(err, registry.ErrDigest) {
		t.Errorf("error %v, want ErrDigest", err)
	}
	if got := own.Requests(); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
}

// flipped is an answer with wrong bytes.
type flipped struct{ http.ResponseWriter }

func (f *flipped) Write(p []byte) (int, error) {
	wrong := make([]byte, len(p))
	for i := range p {
		wrong[i] = p[i] ^ 0x55
	}
	return f.ResponseWriter.Write(wrong)
}
