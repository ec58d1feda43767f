package integration_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/test/fixture"
)

// ranks is how many processes of a job start in the same second.
const ranks = 64

// meter counts the bytes that a registry serves, and lets them through at a certain rate.
type meter struct {
	served atomic.Int64
	rate   int64         // bytes a second and connection; 0 is no limit
	most   int64         // bytes that are served until goOn is closed; 0 is no limit
	goOn   chan struct{} // nobody waits for one that is nil
}

func (m *meter) middle(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&metered{w, m}, r) })
}

type metered struct {
	http.ResponseWriter
	meter *meter
}

func (w *metered) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		piece := p[:min(len(p), 32<<10)]
		n, err := w.ResponseWriter.Write(piece)
		written += n
		served := w.meter.served.Add(int64(n))
		if err != nil {
			return written, err
		}
		if w.meter.most > 0 && served >= w.meter.most {
			<-w.meter.goOn
		}
		if w.meter.rate > 0 {
			time.Sleep(time.Duration(int64(n)) * time.Second / time.Duration(w.meter.rate))
		}
		p = p[n:]
	}
	return written, nil
}

// largeImage is busybox with a layer of this many bytes that do not compress.
func largeImage(t *testing.T, bytes int) (img fixture.Image, size int64) {
	t.Helper()
	raw := make([]byte, bytes)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(raw) // never fails
	img = fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.Dir("srv", 0o755), fixture.File("srv/weights", string(raw), 0o644)))
	for _, l := range img.Layers {
		size += l.Descriptor.Size
	}
	return img, size + img.ConfigBlob().Descriptor.Size + img.Manifest().Descriptor.Size
}

// TestSixtyFourPulls: of the processes that ask for one image at once one pulls, and the others start when it is there.
func TestSixtyFourPulls(t *testing.T) {
	img, size := largeImage(t, 6<<20)
	m := &meter{rate: 4 << 20}
	reg := fixture.Serve(t)
	reg.Push("large:1", img)
	reg.Intercept(m.middle)
	b := newBox(t)
	ended := make(chan time.Time, ranks)
	results := make(chan result, ranks)
	for range ranks {
		j := b.start("pull", "-q", reg.Ref("large:1"))
		go func() {
			r := b.wait(j)
			ended <- time.Now()
			results <- r
		}()
	}
	var first, last time.Time
	for range ranks {
		if at := <-ended; first.IsZero() || at.Before(first) {
			first = at
		} else if at.After(last) {
			last = at
		}
	}
	for range ranks {
		if r := <-results; r.code != 0 {
			t.Errorf("status %d: %s", r.code, r.stderr)
		}
	}
	if served := m.served.Load(); served < size || float64(served) > 1.01*float64(size) {
		t.Errorf("the registry served %d bytes for an image of %d", served, size)
	}
	t.Logf("%d pulls of %d bytes: %d bytes served; the last ended %v after the first", ranks, size, m.served.Load(), last.Sub(first).Round(time.Millisecond))
	if wait := last.Sub(first); wait > 15*time.Second {
		t.Errorf("the last waited %v longer than the first", wait)
	}
}

// TestPullerIsKilled: when the process that pulls is killed another takes over, and all others get their image.
func TestPullerIsKilled(t *testing.T) {
	img, size := largeImage(t, 4<<20)
	m := &meter{rate: 4 << 20, most: size / 2, goOn: make(chan struct{})}
	goOn := sync.OnceFunc(func() { close(m.goOn) })
	defer goOn() // else the registry would not end
	reg := fixture.Serve(t)
	reg.Push("large:1", img)
	reg.Intercept(m.middle)
	b := newBox(t)
	const pulls = 16
	jobs := make([]*job, pulls)
	for i := range jobs {
		jobs[i] = b.start("pull", "-q", reg.Ref("large:1"))
	}
	waitFor(t, "half of the image is served", patience, func() error {
		if served := m.served.Load(); served < size/2 {
			return fmt.Errorf("%d bytes", served)
		}
		return nil
	})
	puller := b.puller()
	if err := syscall.Kill(puller, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	goOn()
	killed := 0
	for _, j := range jobs {
		switch r := b.wait(j); {
		case j.Process.Pid == puller && r.code == 128+int(syscall.SIGKILL):
			killed++
		case r.code != 0:
			t.Errorf("status %d: %s", r.code, r.stderr)
		}
	}
	if killed != 1 {
		t.Errorf("%d were killed; the test tests nothing", killed)
	}
	if got := b.ok("run", "--pull", "never", reg.Ref("large:1"), "sh", "-c", "wc -c </srv/weights"); got != fmt.Sprint(4<<20) {
		t.Errorf("the image holds %s bytes", got)
	}
	if served := m.served.Load(); served > 2*size {
		t.Errorf("the registry served %d bytes for an image of %d", served, size)
	}
	if r := b.do("check"); r.code != 0 {
		t.Errorf("check: %s%s", r.stdout, r.stderr)
	}
	nothingLeft(t, b)
}

// puller is the process that unpacks a layer: what it makes says who it is.
func (b *box) puller() (pid int) {
	b.t.Helper()
	waitFor(b.t, "a layer is being unpacked", patience, func() error {
		entries, err := os.ReadDir(filepath.Join(b.root, "tmp"))
		for _, e := range entries {
			if owner, ok := fsx.TempOwner(e.Name()); ok && e.IsDir() {
				pid = owner.PID
				return nil
			}
		}
		return fmt.Errorf("nothing in tmp (%w)", err)
	})
	return pid
}

// TestStoredImageNeedsNoLock: whoever holds the locks of a store, a stored image starts, and nobody is asked for it.
func TestStoredImageNeedsNoLock(t *testing.T) {
	reg := fixture.Serve(t)
	img := fixture.Busybox(t)
	digest := reg.Push("busybox:1", img)
	ref := reg.Ref("busybox:1")
	b := newBox(t)
	b.ok("pull", "-q", ref)
	reg.Forget()
	names := []string{"remove", digest.Encoded()}
	for _, l := range img.Layers {
		names = append(names, l.Descriptor.Digest.Encoded())
	}
	for _, name := range names {
		f, err := os.OpenFile(filepath.Join(b.root, "locks", name), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	jobs := make([]*job, ranks)
	for i := range jobs {
		jobs[i] = b.start("run", ref, "echo", "up")
	}
	for _, j := range jobs {
		if r := b.wait(j); r.code != 0 || strings.TrimSpace(r.stdout) != "up" {
			t.Errorf("status %d, %q: %s", r.code, r.stdout, r.stderr)
		}
	}
	t.Logf("%d runs at once took %v", ranks, time.Since(start).Round(time.Millisecond))
	if asked := reg.Requests(); len(asked) > 0 {
		t.Errorf("the registry was asked %q", asked)
	}
}
