package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/blob"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

const (
	rangeSize = 64 << 10
	fatSize   = 1 << 20
)

// fat is an image with one layer of sixteen ranges and a bit.
func fat() fixture.Image { return madeFat() }

var madeFat = sync.OnceValue(func() fixture.Image {
	return fixture.Image{Layers: []fixture.Layer{
		fixture.NewLayer(fixture.Gzip, fixture.File("fat", noise(7, fatSize), 0o600), fixture.File("end", "e", 0o644)),
	}}
})

// inRanges pulls with small ranges.
func inRanges(o *options) { o.RangeSize = rangeSize }

// A warehouse serves the one layer of fat with ranges, and lets a test get in between.
type warehouse struct {
	*fixture.Registry
	hook func(w http.ResponseWriter, r *http.Request, n int) bool // of the n-th request for the layer; true: has answered

	mu     sync.Mutex
	n      int
	at     map[string]int // requests for each range
	active int            // requests whose answer is being written, which may go on for a moment after the client has it
	held   int            // of these, in the hook: each has a connection of its own
	most   int            // that were held at once
	served atomic.Int64
}

func newWarehouse(t *testing.T, hook func(w http.ResponseWriter, r *http.Request, n int) bool) *warehouse {
	t.Helper()
	h := &warehouse{Registry: fixture.Serve(t), hook: hook, at: map[string]int{}}
	h.Push("a:1", fat())
	blob := fat().Layers[0]
	h.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, string(blob.Descriptor.Digest)) {
				next.ServeHTTP(w, r)
				return
			}
			n, leave := h.enter(r)
			defer leave()
			w = &meter{ResponseWriter: w, served: &h.served}
			if h.hook == nil || !h.hooked(w, r, n) {
				serveFat(w, r)
			}
		})
	})
	return h
}

// serveFat serves the layer, or the range of it that is asked for.
func serveFat(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(fat().Layers[0].Blob))
}

// begin serves the first bytes of an answer.
func begin(w http.ResponseWriter, r *http.Request, n int) {
	defer func() { _ = recover() }() // the cutter's
	serveFat(&cutter{ResponseWriter: w, left: n}, r)
}

func (h *warehouse) enter(r *http.Request) (n int, leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.at[r.Header.Get("Range")]++
	h.active++
	return h.n, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.active--
	}
}

func (h *warehouse) hooked(w http.ResponseWriter, r *http.Request, n int) (answered bool) {
	h.mu.Lock()
	h.held++
	h.most = max(h.most, h.held)
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.held--
	}()
	return h.hook(w, r, n)
}

// bytes is how many were served, once no answer is being written any more.
func (h *warehouse) bytes(t *testing.T) int64 {
	t.Helper()
	until(t, "the answers to end", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.active == 0
	})
	return h.served.Load()
}

// forget counts the bytes from now on.
func (h *warehouse) forget(t *testing.T) {
	t.Helper()
	h.bytes(t)
	h.served.Store(0)
}

// until waits for something that happens soon.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// requests is how many there were for the layer, and how many of them were for a range that had been asked for.
func (h *warehouse) requests() (all, again int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range maps.Values(h.at) {
		all, again = all+n, again+n-1
	}
	return all, again
}

// repeated is how many of the requests asked for the rest of a range whose beginning, or all of it, had been asked for.
func (h *warehouse) repeated() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ends := map[string]bool{}
	for at, times := range h.at {
		_, end, _ := strings.Cut(at, "-")
		n += times
		if !ends[end] {
			n--
		}
		ends[end] = true
	}
	return n
}

// meter counts the bytes of an answer.
type meter struct {
	http.ResponseWriter
	served *atomic.Int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.ResponseWriter.Write(p)
	m.served.Add(int64(n))
	return n, err
}

func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// whole fails the test unless the layer is there as it should be, and nothing else is left.
func whole(t *testing.T, st *store.Store) {
	t.Helper()
	d := fat().Layers[0].Descriptor.Digest
	raw, err := os.ReadFile(filepath.Join(st.LayerDir(d), "fat"))
	if err != nil || string(raw) != noise(7, fatSize) {
		t.Errorf("content differs (%v)", err)
	}
	if left, err := st.Blobs().List(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	clean(t, st)
}

func TestRanges(t *testing.T) {
	second := make(chan struct{})
	h, st := newWarehouse(t, func(_ http.ResponseWriter, _ *http.Request, n int) bool {
		switch n {
		case 1:
			select {
			case <-second:
			case <-time.After(time.Minute): // it comes only after the first
			}
		case 2:
			close(second)
		}
		return false
	}), newStore(t)
	rec := &recorder{}
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges, func(o *options) { o.Progress = rec }); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	size := fat().Layers[0].Descriptor.Size
	if all, again := h.requests(); all != int((size+rangeSize-1)/rangeSize) || again != 0 {
		t.Errorf("%d requests for %d bytes, %d of them for what was asked before", all, size, again)
	}
	if served := h.bytes(t); served != size || rec.bytes[string(fat().Layers[0].Descriptor.Digest)] != size {
		t.Errorf("%d bytes served and %v reported of %d", served, rec.bytes, size)
	}
	if h.most < 2 || h.most > 24 {
		t.Errorf("%d connections at once", h.most)
	}
	for at := range h.at {
		if !strings.HasPrefix(at, "bytes=") {
			t.Errorf("asked for %q", at)
		}
	}
}

// partOf answers a request for a range as a server would, but for what change does to its header and body.
func partOf(change func(h http.Header, body []byte) (int, []byte)) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Header.Get("Range") == "" {
			return false
		}
		rec := httptest.NewRecorder()
		serveFat(rec, r)
		status, body := change(rec.Header(), rec.Body.Bytes())
		maps.Copy(w.Header(), rec.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush() // chunked: no length gives it away
		_, _ = w.Write(body)
		return true
	}
}

// only lets a hook have some of the requests.
func only(which func(n int) bool, hook func(http.ResponseWriter, *http.Request, int) bool) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, r *http.Request, n int) bool { return which(n) && hook(w, r, n) }
}

func status(code int, header ...string) func(http.ResponseWriter, *http.Request, int) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		for n := 0; n < len(header); n += 2 {
			w.Header().Set(header[n], header[n+1])
		}
		w.WriteHeader(code)
		return true
	}
}

func first(n int) func(int) bool { return func(k int) bool { return k <= n } }
func third(n int) bool           { return n%3 == 0 }

// What servers and proxies do to ranges. The image comes all the same, whole and right.
func TestServersAndRanges(t *testing.T) {
	size := int(fat().Layers[0].Descriptor.Size)
	for _, c := range []struct {
		name string
		hook func(http.ResponseWriter, *http.Request, int) bool
		most int // bytes served, in hundredths of the layer
		hung int // requests that get no answer, or not all of it, and are given up for that
	}{
		{"ignores ranges", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			r.Header.Del("Range")
			serveFat(w, r)
			return true
		}, 600, 0}, // of the first requests the answers are given up
		{"ignores some ranges", only(third, func(w http.ResponseWriter, r *http.Request, _ int) bool {
			r.Header.Del("Range")
			serveFat(w, r)
			return true
		}), 600, 0},
		{"another offset", partOf(func(h http.Header, b []byte) (int, []byte) {
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", 1, len(b), size))
			return http.StatusPartialContent, b
		}), 600, 0},
		{"another end", partOf(func(h http.Header, b []byte) (int, []byte) {
			h.Set("Content-Range", strings.Replace(h.Get("Content-Range"), "/", "0/", 1))
			return http.StatusPartialContent, b
		}), 600, 0},
		{"another size", partOf(func(h http.Header, b []byte) (int, []byte) {
			h.Set("Content-Range", h.Get("Content-Range")+"0")
			return http.StatusPartialContent, b
		}), 600, 0},
		{"does not say which part", partOf(func(h http.Header, b []byte) (int, []byte) {
			h.Del("Content-Range")
			return http.StatusPartialContent, b
		}), 600, 0},
		{"does not say the size", partOf(func(h http.Header, b []byte) (int, []byte) {
			h.Set("Content-Range", strings.Replace(h.Get("Content-Range"), fmt.Sprintf("/%d", size), "/*", 1))
			return http.StatusPartialContent, b
		}), 101, 0},
		{"416", partOf(func(http.Header, []byte) (int, []byte) {
			return http.StatusRequestedRangeNotSatisfiable, nil
		}), 101, 0},
		{"parts that are too short", only(third, partOf(func(_ http.Header, b []byte) (int, []byte) {
			return http.StatusPartialContent, b[:len(b)/2]
		})), 110, 0},
		{"parts that are too long", only(third, partOf(func(_ http.Header, b []byte) (int, []byte) {
			return http.StatusPartialContent, append(b, "more"...)
		})), 110, 0},
		{"429 with seconds", only(first(6), status(http.StatusTooManyRequests, "Retry-After", "0")), 101, 0},
		{"429 with a date", only(first(6), status(http.StatusTooManyRequests, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT")), 101, 0},
		{"503", only(first(6), status(http.StatusServiceUnavailable)), 101, 0},
		{"500 now and then", only(third, status(http.StatusInternalServerError)), 101, 0},
		{"closed before the header", only(third, func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }), 101, 0},
		{"a stall before the header", only(first(2), func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			<-r.Context().Done()
			return true
		}), 101, 2},
		{"a stall in the middle", only(first(2), func(w http.ResponseWriter, r *http.Request, _ int) bool {
			begin(w, r, 1000)
			<-r.Context().Done()
			return true
		}), 101, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, st := newWarehouse(t, c.hook), newStore(t)
			if _, err := fetch(t, st, h.Ref("a:1"), inRanges, func(o *options) {
				if c.hung > 0 {
					o.registry.Stall = 300 * time.Millisecond
				}
			}); err != nil {
				t.Fatal(err)
			}
			whole(t, st)
			most := int64(size) * int64(c.most) / 100
			if c.hung > 0 { // where this process stands still for so long, other requests are given up, too
				most += int64(max(0, h.repeated()-c.hung)) * rangeSize
			}
			if served := h.bytes(t); served > most {
				t.Errorf("%d bytes served of %d, more than %d", served, size, most)
			}
		})
	}
}

// Each range's connection is reset once, after another number of bytes. No byte but those on their way is fetched again.
func TestResetAtEveryByte(t *testing.T) {
	for _, step := range []int{0, 1, 100, 4095, 4096, 20001, rangeSize - 1} {
		var mu sync.Mutex
		seen := map[string]bool{}
		h, st := newWarehouse(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
			_, end, _ := strings.Cut(r.Header.Get("Range"), "-")
			mu.Lock()
			again := seen[end]
			seen[end] = true
			mu.Unlock()
			if again {
				return false
			}
			serveFat(&cutter{ResponseWriter: w, left: step}, r)
			return true
		}), newStore(t)
		if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
			t.Fatalf("reset after %d bytes: %v", step, err)
		}
		whole(t, st)
		if size, served := fat().Layers[0].Descriptor.Size, h.bytes(t); served > size+size/50 {
			t.Errorf("reset after %d bytes: %d bytes served of %d", step, served, size)
		}
	}
}

// What is wrong for good ends the pull soon, and with the right error.
func TestRangesThatNeverCome(t *testing.T) {
	for _, c := range []struct {
		name     string
		hook     func(http.ResponseWriter, *http.Request, int) bool
		want     error
		requests int
	}{
		{"404", only(func(n int) bool { return n > 3 }, status(http.StatusNotFound)), registry.ErrNotFound, 3 + 8}, // were this machine slow, there may have been 8 connections
		{"503", status(http.StatusServiceUnavailable), registry.ErrUnreachable, 20},
		{"429", status(http.StatusTooManyRequests), registry.ErrRateLimited, 20},
		{"closed", func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }, registry.ErrUnreachable, 60}, // Go's client tries again itself
		{"one range is poison", func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			if strings.HasPrefix(r.Header.Get("Range"), fmt.Sprintf("bytes=%d-", 5*rangeSize)) {
				panic(http.ErrAbortHandler)
			}
			return false
		}, registry.ErrUnreachable, 60},
		{"wrong bytes", partOf(func(_ http.Header, b []byte) (int, []byte) {
			b = bytes.Clone(b)
			b[len(b)/2] ^= 1
			return http.StatusPartialContent, b
		}), registry.ErrDigest, 2 * 17}, // once more, and no more
	} {
		t.Run(c.name, func(t *testing.T) {
			h, st := newWarehouse(t, c.hook), newStore(t)
			if _, err := fetch(t, st, h.Ref("a:1"), inRanges); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if all, _ := h.requests(); all > c.requests {
				t.Errorf("%d requests", all)
			}
			clean(t, st)
			if left, err := st.Blobs().List(); errors.Is(c.want, registry.ErrDigest) && (err != nil || len(left) != 0) {
				t.Errorf("wrong bytes were left: %v, %v", left, err)
			}
			h.hook = nil
			if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
				t.Errorf("the pull after it: %v", err)
			}
			whole(t, st)
		})
	}
}

// After a 429 nothing is asked for before the time it names, and then over half as many connections.
func TestThrottling(t *testing.T) {
	const wait = 2 * time.Second
	var refused time.Time // when the answer was about to be sent
	var early, most int
	heard := make(chan struct{}) // closed when the client has read the answer; the others have none until then
	h, st := newWarehouse(t, nil), newStore(t)
	h.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		h.mu.Lock()
		switch {
		case n == 4:
			refused = time.Now()
		case n > 4 && time.Since(refused) < wait:
			early++
		case n > 4:
			most = max(most, h.held)
		}
		h.mu.Unlock()
		if n == 4 {
			w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())))
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		<-heard
		if n > 4 {
			time.Sleep(10 * time.Millisecond) // so that they overlap
		}
		return false
	}
	fewer := 2 // connections, half as many
	rec := &noted{}
	rec.heard = sync.OnceFunc(func() {
		if time.Since(rec.planned) >= 50*time.Millisecond { // on a slow machine so long a wait may have made them 8 before the answer came
			fewer = 4
		}
		close(heard)
	})
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges, func(o *options) { o.Progress = rec }); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	if early > 2*fewer-4 {
		t.Errorf("%d requests before the time that was asked for", early)
	}
	if most > fewer || most == 0 {
		t.Errorf("then over %d connections, and there had been %d", most, 2*fewer)
	}
}

// noted tells that there was a note, and remembers when the layer was announced, before the first request for it.
type noted struct {
	recorder

	planned time.Time
	heard   func()
}

func (n *noted) LayerPlanned(string, int64) { n.planned = time.Now() }
func (n *noted) Note(string)                { n.heard() }

// Tokens and links expire in the middle of a blob. Both are had anew, and no other host sees the credentials.
func TestTokensAndLinksExpire(t *testing.T) {
	h, st := newWarehouse(t, nil), newStore(t)
	var mu sync.Mutex
	var tokens, link, links int // how many were given out; uses left
	uses := map[string]int{}    // left of each token
	var leaks []string
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		link--
		ok := link >= 0 && r.URL.Query().Get("sig") == fmt.Sprint(links)
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			leaks = append(leaks, r.URL.String())
		}
		mu.Unlock()
		if !ok {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		serveFat(w, r)
	}))
	defer cdn.Close()
	h.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.URL.Path == "/token" {
				tokens++
				uses[fmt.Sprintf("Bearer t%d", tokens)] = 6
				_, _ = fmt.Fprintf(w, `{"token":"t%d"}`, tokens)
				return
			}
			if auth := r.Header.Get("Authorization"); uses[auth] > 0 {
				uses[auth]--
			} else {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s"`, h.Host()))
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			if strings.Contains(r.URL.Path, string(fat().Layers[0].Descriptor.Digest)) {
				if link <= 0 {
					link, links = 3, links+1
				}
				http.Redirect(w, r, fmt.Sprintf("%s/x?sig=%d", cdn.URL, links), http.StatusTemporaryRedirect)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	config := fmt.Sprintf(`{"auths":{%q:{"auth":"dTpw"}}}`, h.Host())
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	mu.Lock()
	defer mu.Unlock()
	if tokens < 3 || links < 3 {
		t.Errorf("%d tokens and %d links in all: nothing expired", tokens, links)
	}
	if len(leaks) > 0 {
		t.Errorf("credentials at another host: %q", leaks)
	}
}

// Of several connections all but one find their link expired, before that one has brought its first byte. That is no reason to give up.
func TestLinkExpiredBeforeTheFirstByte(t *testing.T) {
	h, st := newWarehouse(t, nil), newStore(t)
	refused := make(chan struct{})
	var requests atomic.Int64
	cdn := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			select {
			case <-refused:
				time.Sleep(50 * time.Millisecond) // the refusal arrives first
			case <-r.Context().Done():
			}
		case 2:
			defer close(refused)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		serveFat(w, r)
	}))
	defer cdn.Close()
	h.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, string(fat().Layers[0].Descriptor.Digest)) {
				http.Redirect(w, r, cdn.URL+"/x", http.StatusTemporaryRedirect)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
}

// A connection that has become slow is raced by another, and the image does not wait for it. It is raced only after two seconds in which this
// machine was not slow itself.
func TestStragglers(t *testing.T) {
	slow := make(chan struct{})
	var waited atomic.Bool
	t.Cleanup(func() { close(slow) })
	h, st := newWarehouse(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n != 3 {
			time.Sleep(20 * time.Millisecond)
			return false
		}
		begin(w, r, 100)
		select {
		case <-slow:
		case <-r.Context().Done():
		case <-time.After(3 * time.Minute):
			waited.Store(true)
		}
		return true
	}), newStore(t)
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges, func(o *options) { o.registry.Stall = time.Hour }); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	if waited.Load() {
		t.Error("the image has waited for it")
	}
	if size, served := fat().Layers[0].Descriptor.Size, h.bytes(t); served > size+rangeSize {
		t.Errorf("%d bytes served of %d", served, size)
	}
}

// pullKilled pulls in another process, which is killed once it has written so many of the layer's bytes.
func pullKilled(t *testing.T, st *store.Store, name string, after int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", killAfterEnv, name, st.Dirs().Data, after))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.String() != "signal: killed" {
		t.Fatalf("%v: %s", err, out)
	}
}

// pullAndDieAfter is the process of pullKilled.
func pullAndDieAfter(name, root string, after int64) error {
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		return err
	}
	ref, err := registry.ParseRef(name)
	if err != nil {
		return err
	}
	rec := &recorder{}
	fsx.InjectFaults(func(op, path string) error {
		if strings.HasSuffix(path, ".partial") == strings.HasSuffix(path, ".map") || op != "write" && op != "append" {
			return nil // neither bytes nor a range
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		var have int64
		for n := range maps.Values(rec.bytes) {
			have += n
		}
		if have >= after {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	_, err = pull.Image(context.Background(), st, registry.NewClient(registry.Options{}).Source(ref),
		pull.Options{Parallel: 1, RangeSize: rangeSize, Progress: rec})
	return err
}

// recorded is how many bytes of the layer the map of its partial has.
func recorded(t *testing.T, st *store.Store) (n int64) {
	t.Helper()
	for _, r := range ranges(t, st) {
		n += r.Length
	}
	return n
}

// firstRecorded is where they begin.
func firstRecorded(t *testing.T, st *store.Store) int64 {
	t.Helper()
	all := ranges(t, st)
	if len(all) == 0 {
		t.Fatal("nothing is recorded")
	}
	return all[0].Offset
}

func ranges(t *testing.T, st *store.Store) []blob.Range {
	t.Helper()
	d := fat().Layers[0].Descriptor
	p, err := st.Blobs().Partial(d.Digest, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p.There()
}

func TestKilledPullGoesOn(t *testing.T) {
	h, st := newWarehouse(t, nil), newStore(t)
	size := fat().Layers[0].Descriptor.Size
	pullKilled(t, st, h.Ref("a:1"), size*9/10)
	if _, err := st.Reclaim(); err != nil {
		t.Fatal(err)
	}
	have := recorded(t, st)
	if have < size*9/10-24*rangeSize || have == 0 {
		t.Errorf("after 90 %% of %d bytes %d are recorded", size, have)
	}
	h.forget(t)
	rec := &recorder{}
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges, func(o *options) { o.Progress = rec }); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	if served := h.bytes(t); served != size-have {
		t.Errorf("%d of %d bytes were there, and %d fetched", have, size, served)
	}
	if got := rec.bytes[string(fat().Layers[0].Descriptor.Digest)]; got != size {
		t.Errorf("%d of %d bytes reported", got, size)
	}
}

// What was there is damaged: after a restart the checksums tell, else the digest does. Both times the image comes.
func TestDamagedPartial(t *testing.T) {
	for _, restart := range []bool{true, false} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			h, st := newWarehouse(t, nil), newStore(t)
			desc := fat().Layers[0].Descriptor
			pullKilled(t, st, h.Ref("a:1"), desc.Size/2)
			if _, err := st.Reclaim(); err != nil {
				t.Fatal(err)
			}
			before, first := recorded(t, st), firstRecorded(t, st)
			path := st.Blobs().Path(desc.Digest)
			f, err := os.OpenFile(path+".partial", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(make([]byte, 100), first+5); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if restart {
				raw, err := os.ReadFile(path + ".map")
				if err != nil {
					t.Fatal(err)
				}
				boot, _, _ := bytes.Cut(bytes.SplitN(raw, []byte(`"boot":"`), 2)[1], []byte(`"`))
				if err := os.WriteFile(path+".map", bytes.Replace(raw, boot, []byte("another"), 1), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			h.forget(t)
			if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
				t.Fatal(err)
			}
			whole(t, st)
			want := desc.Size - before + rangeSize // a range again
			if !restart {
				want = desc.Size - before + desc.Size // and then everything
			}
			if served := h.bytes(t); served != want {
				t.Errorf("%d bytes served, want %d of %d", served, want, desc.Size)
			}
		})
	}
}

// One wrong byte on its way costs the blob once more, within the same pull: which range it was in no digest tells. Said once.
func TestOneWrongAnswer(t *testing.T) {
	wrong := partOf(func(_ http.Header, b []byte) (int, []byte) {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return http.StatusPartialContent, b
	})
	for name, change := range map[string]func(*options){"ranges": inRanges, "one stream": func(*options) {}} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			h, st := newWarehouse(t, func(w http.ResponseWriter, r *http.Request, n int) (answered bool) {
				once.Do(func() {
					if answered = wrong(w, r, n); !answered {
						serveFat(&flipped{ResponseWriter: w}, r)
						answered = true
					}
				})
				return answered
			}), newStore(t)
			rec := &recorder{}
			if _, err := fetch(t, st, h.Ref("a:1"), change, func(o *options) { o.Progress = rec }); err != nil {
				t.Fatal(err)
			}
			whole(t, st)
			if size, served := fat().Layers[0].Descriptor.Size, h.bytes(t); served > 2*size {
				t.Errorf("%d bytes served of %d", served, size)
			}
			said := slices.DeleteFunc(rec.lines, func(line string) bool { return !strings.Contains(line, "once more") })
			if len(said) != 1 {
				t.Errorf("said %q", said)
			}
		})
	}
}

// A portal that answers in place of the registry with a page of its own costs nothing of what was fetched before.
func TestAPortalsPageCostsNothing(t *testing.T) {
	var portal atomic.Bool
	h, st := newWarehouse(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		if portal.Load() {
			_, _ = io.WriteString(w, "<html>please log in</html>")
		}
		return portal.Load()
	}), newStore(t)
	desc := fat().Layers[0].Descriptor
	pullKilled(t, st, h.Ref("a:1"), desc.Size/2)
	if _, err := st.Reclaim(); err != nil {
		t.Fatal(err)
	}
	have := recorded(t, st)
	portal.Store(true)
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); !errors.Is(err, registry.ErrDigest) {
		t.Fatal(err)
	}
	if now := recorded(t, st); now != have || have == 0 {
		t.Errorf("of %d bytes %d are left", have, now)
	}
	portal.Store(false)
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
}

// A pull that was killed between the layer's publication and the end of its partial leaves that to the next pull.
func TestAPartialOfAStoredLayerGoes(t *testing.T) {
	h, st := newWarehouse(t, nil), newStore(t)
	desc := fat().Layers[0].Descriptor
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	p, err := st.Blobs().Partial(desc.Digest, desc.Size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, st, h.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	if left, err := st.Blobs().List(); err != nil || len(left) != 1 {
		t.Errorf("while a process has it: %v, %v", left, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, st, h.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
}

// A pull that is cancelled keeps even the beginnings of ranges.
func TestCancelledPullGoesOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rec := &recorder{}
	h, st := newWarehouse(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		var offset int64
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &offset)
		if offset < 6*rangeSize {
			return false
		}
		begin(w, r, 5000)
		if offset == 6*rangeSize { // a little more again and again, until the reader has come so far that it is written at once
			dripUntil(w, r, offset+5000, func() bool { return rec.total() > 6*rangeSize })
			cancel()
		}
		<-r.Context().Done()
		return true
	}), newStore(t)
	_, err := pull.Image(ctx, st, source(t, h.Ref("a:1"), registry.Options{}), pull.Options{RangeSize: rangeSize, Progress: rec})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	clean(t, st)
	size, have := fat().Layers[0].Descriptor.Size, recorded(t, st)
	if have <= 6*rangeSize || have%rangeSize == 0 {
		t.Errorf("%d bytes are recorded", have)
	}
	h.forget(t)
	h.hook = nil
	if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	whole(t, st)
	if served := h.bytes(t); served != size-have {
		t.Errorf("%d of %d bytes were there, and %d fetched", have, size, served)
	}
}

// dripUntil goes on with an answer, some bytes at a time.
func dripUntil(w http.ResponseWriter, r *http.Request, at int64, enough func() bool) {
	blob := fat().Layers[0].Blob
	for end := time.Now().Add(time.Minute); !enough() && r.Context().Err() == nil && time.Now().Before(end); at += 4 {
		_, _ = w.Write(blob[at : at+4])
		_ = http.NewResponseController(w).Flush()
		time.Sleep(5 * time.Millisecond)
	}
}

// Processes that pull one large image at once fetch it once.
func TestRangedPullsAtOnce(t *testing.T) {
	h, st := newWarehouse(t, nil), newStore(t)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := fetch(t, st, h.Ref("a:1"), inRanges); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	whole(t, st)
	if size, served := fat().Layers[0].Descriptor.Size, h.bytes(t); served != size {
		t.Errorf("%d bytes served of %d", served, size)
	}
}

// While two small layers are unpacked the next ones are fetched: a far registry does not make each of them wait.
func TestSmallLayersAreFetchedAhead(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	var im fixture.Image
	for n := range 20 {
		im.Layers = append(im.Layers, fixture.NewLayer(fixture.Gzip, fixture.File(fmt.Sprint(n), noise(uint64(n), 1000+n), 0o644)))
	}
	reg.Push("a:1", im)
	var mu sync.Mutex
	active, all := 0, 0
	enough := make(chan struct{}) // closed when there are four requests, none of which has an answer
	config := string(im.ConfigBlob().Descriptor.Digest)
	reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				mu.Lock()
				all++
				mu.Unlock()
			}
			if strings.Contains(r.URL.Path, "/blobs/") && !strings.Contains(r.URL.Path, config) {
				mu.Lock()
				if active++; active == 4 {
					close(enough)
				}
				mu.Unlock()
				select {
				case <-enough:
				case <-time.After(time.Minute): // the others wait for this one
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	img, err := fetch(t, st, reg.Ref("a:1"), func(o *options) { o.Parallel = 2 })
	if err != nil {
		t.Fatal(err)
	}
	if missing := st.Missing(img); len(missing) > 0 || all != len(im.Layers)+1 {
		t.Errorf("%d requests for %d layers and a configuration; missing: %v", all, len(im.Layers), missing)
	}
	select {
	case <-enough:
	default:
		t.Error("never four requests at once")
	}
	if left, err := st.Blobs().List(); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	clean(t, st)
}

func TestKeepBlobs(t *testing.T) {
	keep := func(o *options) { o.KeepBlobs, o.RangeSize = true, rangeSize }
	blobs := func(st *store.Store, im fixture.Image) {
		t.Helper()
		for _, l := range im.Layers {
			f, err := st.Blobs().Open(l.Descriptor.Digest)
			if err != nil {
				t.Error(err)
				continue
			}
			raw, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil || !slices.Equal(raw, l.Blob) {
				t.Errorf("the blob of %d bytes is kept with %d (%v)", len(l.Blob), len(raw), err)
			}
		}
	}
	reg, st := fixture.Serve(t), newStore(t)
	im := sample()
	im.Layers = append(im.Layers, fat().Layers...)
	reg.Push("a:1", im)
	if _, err := fetch(t, st, reg.Ref("a:1"), inRanges); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, st, reg.Ref("a:1"), keep); err != nil { // only the blobs are missing
		t.Fatal(err)
	}
	blobs(st, im)
	reg.Forget()
	if _, err := fetch(t, st, reg.Ref("a:1"), keep); err != nil {
		t.Fatal(err)
	}
	if got := reg.Requests(); slices.ContainsFunc(got, func(r string) bool { return strings.Contains(r, "/blobs/") }) {
		t.Errorf("kept blobs are fetched again: %q", got)
	}
	// A layer that is gone comes from its blob; a damaged blob is fetched.
	for _, l := range im.Layers {
		if err := os.RemoveAll(filepath.Dir(st.LayerDir(l.Descriptor.Digest))); err != nil {
			t.Fatal(err)
		}
	}
	damaged := im.Layers[0].Descriptor.Digest
	raw := bytes.Clone(im.Layers[0].Blob)
	raw[1000] ^= 1
	if err := os.WriteFile(st.Blobs().Path(damaged), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	if _, err := fetch(t, st, reg.Ref("a:1"), keep); err != nil {
		t.Fatal(err)
	}
	blobs(st, im)
	for _, r := range reg.Requests() {
		if strings.Contains(r, "/blobs/") && !strings.Contains(r, string(damaged)) {
			t.Errorf("a kept blob was fetched: %s", r)
		}
	}
	clean(t, st)
	st = newStore(t)
	if _, err := fetch(t, st, reg.Ref("a:1"), keep); err != nil {
		t.Fatal(err)
	}
	blobs(st, im)
	clean(t, st)
}
