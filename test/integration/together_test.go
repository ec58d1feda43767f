package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestRunsTogether starts several runs of one image at once, in a store that does not have it yet: each pulls or waits, sees
// only its own writes, writes its own output and ends with its own status; the registry sends each layer once.
func TestRunsTogether(t *testing.T) {
	img := fixture.Busybox(t)
	img.Layers = append(img.Layers, fixture.NewLayer(fixture.Zstd, fixture.File("srv/weights", strings.Repeat("w", 1<<20), 0o644)))
	reg := fixture.Serve(t)
	reg.Push("busybox:1", img)
	ref := reg.Ref("busybox:1")
	b := newBox(t)
	adopt(t)
	b.dir("out")
	const runs = 8
	script := `test ! -e /mark && echo $1 >/mark && sleep 0.2 && cat /mark && test $(wc -c </srv/weights) = 1048576 && echo $1 >/out/$1 && exit $1`
	jobs := make([]*job, runs)
	for i := range jobs {
		jobs[i] = b.start("run", "-v", b.wd+"/out:/out", ref, "sh", "-c", script, "sh", fmt.Sprint(i+10))
	}
	for i, j := range jobs {
		if r := b.wait(j); r.code != i+10 || strings.TrimSpace(r.stdout) != fmt.Sprint(i+10) {
			t.Errorf("run %d: status %d, %q: %s", i, r.code, r.stdout, r.stderr)
		}
		b.mine(fmt.Sprintf("out/%d", i+10))
	}
	fetched := map[string]int{}
	for _, request := range reg.Requests() {
		if strings.HasPrefix(request, http.MethodGet) && strings.Contains(request, "/blobs/") {
			fetched[request]++
		}
	}
	for _, l := range img.Layers {
		if n := fetched["GET /v2/busybox/blobs/"+l.Descriptor.Digest.String()]; n != 1 {
			t.Errorf("layer %s was fetched %d times", l.Descriptor.Digest, n)
		}
	}
	nothingLeft(t, b)
}

// TestStoredImageNeedsNoRegistry: a run of a stored image asks nobody.
func TestStoredImageNeedsNoRegistry(t *testing.T) {
	b := newBox(t)
	reg := fixture.Serve(t)
	digest := reg.Push("busybox:1", fixture.Busybox(t))
	ref := reg.Ref("busybox:1")
	b.ok("pull", ref)
	reg.Forget()
	for _, r := range []string{ref, reg.Ref("busybox@" + digest.String())} {
		if got := b.ok("run", r, "echo", "hello"); got != "hello" {
			t.Errorf("run %s says %q", r, got)
		}
	}
	b.ok("run", "--pull", "never", ref, "true")
	if asked := reg.Requests(); len(asked) > 0 {
		t.Errorf("the registry was asked %q", asked)
	}
	reg.Close()
	b.ok("run", ref, "true")
}

// TestRunWhileImageIsRemoved: rmi of an image in use is refused and disturbs nobody.
func TestRunWhileImageIsRemoved(t *testing.T) {
	b, ref := busybox(t)
	j := b.startJob(ref, "echo up; while test ! -e /out/go; do sleep 0.05; done; ls /bin/busybox")
	if r := b.do("rmi", ref); r.code == 0 {
		t.Errorf("an image in use was removed: %s", r.stdout)
	}
	if err := os.WriteFile(filepath.Join(b.wd, "out", "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := b.wait(j); r.code != 0 || r.stdout != "up\n/bin/busybox\n" {
		t.Errorf("status %d, %q: %s", r.code, r.stdout, r.stderr)
	}
	b.ok("rmi", ref)
	if got := b.ok("images"); strings.Contains(got, "busybox") {
		t.Errorf("images still lists it: %s", got)
	}
}

// TestPullsTogether pulls one image with several processes at once.
func TestPullsTogether(t *testing.T) {
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	b := newBox(t)
	jobs := make([]*job, 6)
	for i := range jobs {
		jobs[i] = b.start("pull", reg.Ref("busybox:1"))
	}
	for _, j := range jobs {
		if r := b.wait(j); r.code != 0 {
			t.Errorf("status %d: %s", r.code, r.stderr)
		}
	}
	if got := b.ok("run", reg.Ref("busybox:1"), "echo", "fine"); got != "fine" {
		t.Errorf("after it, a run says %q", got)
	}
}
