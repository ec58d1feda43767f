package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/test/fixture"
)

// busyboxArchive is an OCI archive of busybox in a box's directory, and the image's digest.
func busyboxArchive(t *testing.T, b *box, name, ref string) (digest string) {
	t.Helper()
	im := fixture.Busybox(t)
	img := store.Image{
		Digest: im.Manifest().Descriptor.Digest, RawManifest: im.Manifest().Data, RawConfig: im.ConfigBlob().Data,
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	if err := json.Unmarshal(img.RawManifest, &img.Manifest); err != nil {
		t.Fatal(err)
	}
	parsed, err := registry.ParseRef(ref)
	if err != nil {
		t.Fatal(err)
	}
	blobs := func(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
		for _, l := range im.Layers {
			if l.Descriptor.Digest == desc.Digest {
				return io.NopCloser(bytes.NewReader(l.Blob)), nil
			}
		}
		return nil, os.ErrNotExist
	}
	err = archive.WriteFile(filepath.Join(b.wd, name), func(w io.Writer) error {
		return archive.Save(t.Context(), w, archive.OCIArchive, []archive.Saved{{Image: img, Names: []registry.Ref{parsed}}}, blobs)
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(img.Digest)
}

// digestOf is what a box's store says an image is.
func digestOf(t *testing.T, b *box, name string) string {
	t.Helper()
	var found []struct{ Digest string }
	if err := json.Unmarshal([]byte(b.ok("inspect", "--type", "image", name)), &found); err != nil {
		t.Fatal(err)
	}
	return found[0].Digest
}

// TestTravel has an image go from a real registry to a machine without network and back, and stay what it is: pushed,
// pulled without its compressed layers, saved, loaded elsewhere, run there, saved there when the archive is gone, loaded
// where it came from, and pushed to another repository.
func TestTravel(t *testing.T) {
	host := realRegistry(t)
	online, far := newBox(t), newBox(t)
	ref := host + "/travel/busybox:1"
	want := busyboxArchive(t, online, "made.tar", ref)
	online.ok("load", "-i", "made.tar")
	if out := online.ok("push", ref); !strings.Contains(out, "digest: "+want) {
		t.Errorf("push: %s", out)
	}
	online.ok("rmi", ref)
	if err := os.Remove(filepath.Join(online.wd, "made.tar")); err != nil {
		t.Fatal(err)
	}

	online.ok("pull", ref)
	r := online.do("save", "-o", filepath.Join(far.wd, "there.tar"), ref)
	if r.code != 0 || !strings.Contains(r.stderr, "layers come from "+ref) {
		t.Fatalf("save: %d %s", r.code, r.stderr)
	}
	there, err := os.ReadFile(filepath.Join(far.wd, "there.tar"))
	if err != nil {
		t.Fatal(err)
	}

	if out := far.ok("load", "-i", "there.tar"); out != "Loaded image: "+ref {
		t.Errorf("load: %q", out)
	}
	if err := os.Remove(filepath.Join(far.wd, "there.tar")); err != nil {
		t.Fatal(err)
	}
	if got := digestOf(t, far, ref); got != want {
		t.Errorf("far away it is %s, want %s", got, want)
	}
	if out := far.ok("run", "--pull", "never", ref, "echo", "ahoy"); out != "ahoy" {
		t.Errorf("far away it prints %q", out)
	}
	far.ok("tag", ref, "mine:2")
	far.ok("save", "-o", filepath.Join(online.wd, "back.tar"), ref)
	if back, err := os.ReadFile(filepath.Join(online.wd, "back.tar")); err != nil || !bytes.Equal(back, there) {
		t.Errorf("what comes back is not what went there (%v)", err)
	}

	online.ok("rmi", ref)
	online.ok("load", "-q", "-i", "back.tar")
	if got := digestOf(t, online, ref); got != want {
		t.Errorf("back again it is %s, want %s", got, want)
	}
	other := host + "/travel/copy:2"
	if r := online.do("push", ref, other); r.code != 0 || !strings.Contains(r.stderr, "already there") {
		t.Errorf("push of what the registry has in another repository: %d %s", r.code, r.stderr)
	}
	last := newBox(t)
	last.ok("pull", other)
	if got := digestOf(t, last, other); got != want {
		t.Errorf("the copy is %s, want %s", got, want)
	}
}

// other runs another program of the field in a box's directory.
func other(t *testing.T, b *box, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(need.Tool(t, name), args...)
	cmd.Dir = b.wd
	cmd.SysProcAttr = dieWithTests()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestSkopeo has skopeo read what Coracle saves, and Coracle read and run what skopeo writes.
func TestSkopeo(t *testing.T) {
	need.Tool(t, "skopeo")
	b := newBox(t)
	want := busyboxArchive(t, b, "made.tar", "boat:1")
	b.ok("load", "-q", "-i", "made.tar")
	b.ok("save", "-o", "docker.tar", "boat:1")
	b.ok("save", "--format", "oci-archive", "-o", "oci.tar", "boat:1")
	b.ok("save", "--format", "oci-dir", "-o", "layout", "boat:1")

	// Skopeo sees the same digest, and copies out of each.
	for _, from := range []string{"oci-archive:docker.tar", "oci-archive:oci.tar", "oci-archive:oci.tar:docker.io/library/boat:1", "oci:layout"} {
		if out := other(t, b, "skopeo", "inspect", "--format", "{{.Digest}}", from); strings.TrimSpace(out) != want {
			t.Errorf("skopeo sees %s in %s, want %s", out, from, want)
		}
	}
	other(t, b, "skopeo", "copy", "-q", "docker-archive:docker.tar:boat:1", "oci:copied:v1")

	// What skopeo writes keeps its digest where it can: an archive of docker's old kind has none.
	other(t, b, "skopeo", "copy", "-q", "oci:layout", "oci-archive:s-oci.tar:team/oci:v1")
	other(t, b, "skopeo", "copy", "-q", "oci:layout", "oci:s-layout:v1")
	other(t, b, "skopeo", "copy", "-q", "oci:layout", "docker-archive:s-docker.tar:team/docker:v1")
	b.ok("rmi", "boat:1")
	for _, c := range []struct {
		source, ref string
		same        bool
	}{
		{"oci:s-layout:v1", want, true}, {"oci:s-layout", want, true},
		{"oci-archive:s-oci.tar", "docker.io/team/oci:v1", true}, {"oci-archive:s-oci.tar:team/oci:v1", "docker.io/team/oci:v1", true},
		{"docker-archive:s-docker.tar", "docker.io/team/docker:v1", false}, {"docker-archive:s-docker.tar:team/docker:v1", "docker.io/team/docker:v1", false},
	} {
		if out := b.ok("run", "-q", c.source, "echo", "ahoy"); out != "ahoy" {
			t.Errorf("%s prints %q", c.source, out)
		}
		if out := b.ok("pull", "-q", c.source); out != c.ref {
			t.Errorf("%s is stored as %s, want %s", c.source, out, c.ref)
		}
		if got := digestOf(t, b, c.ref); (got == want) != c.same {
			t.Errorf("%s has the digest %s; the original's is %s", c.source, got, want)
		}
		if got := digestOf(t, b, c.source); got != digestOf(t, b, c.ref) {
			t.Errorf("%s: inspect sees %s", c.source, got)
		}
	}
	if out := b.ok("load", "-q", "-i", "s-docker.tar"); out != "Loaded image: team/docker:v1" {
		t.Errorf("load: %q", out)
	}
	// A run of an archive is on record by the archive's full name, and by the digest.
	b.ok("rmi", want)
	b.ok("run", "-q", "oci:s-layout:v1", "true")
	if show := b.ok("runs", "show", "last", "--json"); !strings.Contains(show, want) || !strings.Contains(show, `"ref": "oci:`+filepath.Join(b.wd, "s-layout")+`:v1"`) {
		t.Errorf("the record: %s", show)
	}
}

// TestPodman has podman load what Coracle saves, and the other way round.
func TestPodman(t *testing.T) {
	need.Tool(t, "podman")
	if os.Getenv("XDG_RUNTIME_DIR") == "" {
		need.Missing(t, "runtime-dir", "podman leaves a process that is found through $XDG_RUNTIME_DIR")
	}
	if ranges, err := os.ReadFile("/etc/subuid"); err == nil && strings.Contains("\n"+string(ranges), "\n"+host.Username()+":") {
		need.Missing(t, "no-subuid", "with subordinate ids podman leaves files that this user cannot remove")
	}
	b := newBox(t)
	want := busyboxArchive(t, b, "made.tar", "boat:1")
	b.ok("load", "-q", "-i", "made.tar")
	b.ok("save", "-o", "docker.tar", "boat:1")
	b.ok("save", "--format", "oci-archive", "-o", "oci.tar", "boat:1")
	t.Cleanup(endPodman)
	runRoot, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "p") //nolint:usetesting // podman takes no long path
	if err != nil {
		t.Fatal(err)
	}
	storage := filepath.Join(b.wd, "storage")
	podman := func(args ...string) string {
		flags := []string{"--root", storage, "--runroot", runRoot, "--storage-driver", "overlay", "--storage-opt", "overlay.ignore_chown_errors=true", "--cgroup-manager", "cgroupfs"}
		return other(t, b, "podman", append(flags, args...)...)
	}
	t.Cleanup(func() {
		for _, dir := range []string{storage, runRoot} {
			if err := removeStore(dir); err != nil {
				t.Error(err)
			}
		}
	})
	for _, name := range []string{"docker.tar", "oci.tar"} {
		if out := podman("load", "-i", name); !strings.Contains(out, "docker.io/library/boat:1") {
			t.Errorf("podman load of %s: %s", name, out)
		}
		if out := podman("image", "inspect", "--format", "{{.Digest}}", "boat:1"); strings.TrimSpace(out) != want {
			t.Errorf("podman has %s of %s, want %s", out, name, want)
		}
		podman("rmi", "-f", "boat:1")
	}
	podman("load", "-i", "docker.tar")
	podman("tag", "boat:1", "team/podman:1")
	podman("save", "-o", "p-docker.tar", "team/podman:1")
	podman("save", "--format", "oci-archive", "-o", "p-oci.tar", "team/podman:1")
	podman("save", "--format", "oci-dir", "-o", "p-dir", "team/podman:1")
	for _, name := range []string{"p-docker.tar", "p-oci.tar", "p-dir"} {
		ref, ok := strings.CutPrefix(b.ok("load", "-q", "-i", name), "Loaded image: ")
		if !ok || !strings.HasSuffix(ref, "team/podman:1") {
			t.Errorf("load of %s: %q", name, ref)
		}
		if out := b.ok("run", "-q", "--pull", "never", ref, "echo", "ahoy"); out != "ahoy" {
			t.Errorf("%s prints %q", name, out)
		}
		b.ok("rmi", ref)
	}
}

// endPodman ends the process with which rootless podman keeps its user namespace.
func endPodman() {
	raw, err := os.ReadFile(filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "libpod", "tmp", "pause.pid"))
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return
	}
	if name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm"); err == nil && strings.HasPrefix(string(name), "podman") {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
}
