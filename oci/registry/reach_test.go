package registry

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestReach: what a registry says beside its answer is heard, also where the answer is no.
func TestReach(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("a:1", fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip, fixture.File("f", "x", 0o644))}})
	reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			w.Header().Set("RateLimit-Limit", "100;w=21600")
			w.Header().Set("RateLimit-Remaining", "76;w=21600")
			next.ServeHTTP(w, r)
		})
	})
	for name, kind := range map[string]error{"a:1": nil, "b:1": ErrNotFound} {
		ref, err := ParseRef(reg.Ref(name))
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewClient(Options{}).Reach(context.Background(), ref)
		if !errors.Is(err, kind) || (err == nil) != (kind == nil) {
			t.Errorf("%s: %v", name, err)
		}
		ahead := r.Clock.Round(time.Minute)
		if r.Host != reg.Host() || !r.Plain || r.Mirror || r.User != "" || ahead != time.Hour || r.Limit == nil || *r.Limit != (Limit{100, 76, 6 * time.Hour}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
