package integration_test

import (
	"path/filepath"
	"strings"
	"testing"

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
