package pull_test

import (
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/test/fixture"
)

// On a file system where locks do nothing, as on some network mounts, two pulls of one image both fetch it; the first rename
// of each layer wins, and both succeed.
func TestPullsWithoutLocks(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	reg.Push("a:1", sample())
	// Neither goes on before both have begun.
	var begun sync.WaitGroup
	begun.Add(2)
	var once [2]sync.Once
	var mu sync.Mutex
	n := 0
	first := string(sample().Layers[0].Descriptor.Digest)
	reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, first) {
				mu.Lock()
				i := n
				n++
				mu.Unlock()
				if i < 2 {
					once[i].Do(begun.Done)
					begun.Wait()
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	t.Cleanup(fsx.InjectFaults(func(op, _ string) error {
		if op == "flock" {
			return syscall.ENOLCK
		}
		return nil
	}))
	var pulls sync.WaitGroup
	for range 2 {
		own, err := store.Open(st.Dirs())
		if err != nil {
			t.Fatal(err)
		}
		pulls.Go(func() {
			if img, err := fetch(t, own, reg.Ref("a:1")); err != nil || len(own.Missing(img)) != 0 {
				t.Errorf("%v", err)
			}
		})
	}
	pulls.Wait()
	if n < 2 {
		t.Errorf("the layer was fetched %d times; the test tests nothing", n)
	}
	clean(t, st)
}
