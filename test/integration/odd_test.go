package integration_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestLayersMayRepeat: old builders put the same empty layer after every instruction that changes no file.
func TestLayersMayRepeat(t *testing.T) {
	empty, file := fixture.NewLayer(fixture.Gzip), fixture.NewLayer(fixture.Gzip, fixture.File("file", "there", 0o644))
	hides := fixture.NewLayer(fixture.Gzip, fixture.Whiteout("", "file"))
	for _, c := range []struct {
		name   string
		layers []fixture.Layer
		want   string
	}{
		{"an empty one", []fixture.Layer{empty, file, empty, empty}, "there"},
		{"one that was hidden in between", []fixture.Layer{file, hides, file}, "there"},
		{"one that hides again", []fixture.Layer{hides, file, hides}, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ref := busybox(t, func(img *fixture.Image) { img.Layers = append(img.Layers, c.layers...) })
			if got := b.ok("run", ref, "sh", "-c", "cat /file 2>/dev/null || echo gone"); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestStoreAnywhere: no byte in the path of a store means anything to overlayfs.
func TestStoreAnywhere(t *testing.T) {
	_, ref := busybox(t)
	for _, name := range []string{`back\slash`, "colon:comma,", "space newline\n", strings.Repeat("long", 60)} {
		b := newBoxAt(t, filepath.Join(t.TempDir(), name))
		if got := b.ok("run", "-q", ref, "echo", "ran"); got != "ran" {
			t.Errorf("%q: %s", name, got)
		}
		if got := b.ok("run", ref, "cat", "/proc/self/mountinfo"); strings.Contains(got, "/layers/sha256/") {
			t.Errorf("the job can see where the store is: %s", got)
		}
	}
}

// TestPasswdIsNotTheJobsInput: an image whose passwd file is a link to standard input must neither wait for it nor eat it.
func TestPasswdIsNotTheJobsInput(t *testing.T) {
	b, ref := busybox(t, func(img *fixture.Image) {
		img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip, fixture.Symlink("etc/passwd", "/proc/self/fd/0")))
	})
	cmd := b.command("run", "-i", ref, "cat")
	cmd.Stdin = strings.NewReader("root:x:0:0::/:/bin/sh\n")
	out, err := cmd.Output()
	if err != nil || string(out) != "root:x:0:0::/:/bin/sh\n" {
		t.Errorf("the job has read %q: %v", out, err)
	}
}

// TestArgumentsAreBytes: names of files on old file systems are not UTF-8.
func TestArgumentsAreBytes(t *testing.T) {
	b, ref := busybox(t)
	const odd = "caf\xe9 \xff\x80 \u00e9 \x1b"
	if got := b.ok("run", ref, "printf", "%s", odd); got != odd {
		t.Errorf("%q has become %q", odd, got)
	}
}

// TestUnreadableHosts: a job does without what of the host's network files cannot be read, and that is told.
func TestUnreadableHosts(t *testing.T) {
	b, ref := busybox(t)
	if _, err := os.ReadFile("/etc/shadow"); !errors.Is(err, fs.ErrPermission) {
		need.Missing(t, "shadow", "/etc/shadow is not closed to an ordinary user")
	}
	j := &job{Cmd: b.command()}
	j.Args = []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount --bind /etc/shadow /etc/hosts; exec "$@"`, "sh",
		b.coracle, "run", "--hostname", "here", ref, "sh", "-c", "cat /etc/hosts; exit 5"}
	j.Path = need.Tool(t, "unshare")
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	r := b.wait(j)
	if r.code != 5 || !strings.Contains(r.stdout, "localhost") || !strings.Contains(r.stdout, "here") {
		t.Errorf("status %d, %q: %s", r.code, r.stdout, r.stderr)
	}
	if n := strings.Count(r.stderr, "does without the host's /etc/hosts"); n != 1 {
		t.Errorf("it is told %d times: %s", n, r.stderr)
	}
}
