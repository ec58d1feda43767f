package integration_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// half serves half of a layer, says so, and then nothing, for as long as hold is open; after that it serves everything.
func half(layer fixture.Layer, served chan<- any, hold <-chan any) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-hold:
				next.ServeHTTP(w, r)
				return
			default:
			}
			if !strings.HasSuffix(r.URL.Path, string(layer.Descriptor.Digest)) {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(layer.Blob[:len(layer.Blob)/2])
			_ = http.NewResponseController(w).Flush()
			served <- nil
			<-r.Context().Done()
		})
	}
}

// TestSaveIsKilled: a save that is killed in the middle of a layer leaves what was there before under its name, and nothing else; the
// next one is complete, and clears away what the first could not.
func TestSaveIsKilled(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		old  bool // there is a file of that name
	}{
		{"file", []string{"-o", "out/image"}, false},
		{"file that is there", []string{"-o", "out/image"}, true},
		{"oci-archive", []string{"--format", "oci-archive", "-o", "out/image"}, false},
		{"oci-dir", []string{"--format", "oci-dir", "-o", "out/image"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, reg := newBox(t), fixture.Serve(t)
			img := fixture.Busybox(t)
			reg.Push("busybox:1", img)
			ref := reg.Ref("busybox:1")
			b.ok("pull", "-q", ref)
			b.dir("out")
			out := filepath.Join(b.wd, "out")
			if tc.old {
				b.file("out/image", "old")
			}
			served, hold := make(chan any), make(chan any)
			reg.Intercept(half(img.Layers[0], served, hold))
			save := append(append([]string{"save", "-q"}, tc.args...), ref)
			j := b.start(save...)
			<-served
			if err := j.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if r := b.wait(j); r.code != 128+int(syscall.SIGKILL) {
				t.Fatalf("status %d: %s", r.code, r.stderr)
			}
			var want []string
			if tc.old {
				want = []string{"image"}
				if text, err := os.ReadFile(filepath.Join(out, "image")); err != nil || string(text) != "old" {
					t.Errorf("the file that was there holds %q, %v", text, err)
				}
			}
			if left := namesIn(t, out); !slices.Equal(left, want) && tc.name != "oci-dir" {
				t.Errorf("left: %q, want %q", left, want)
			}
			close(hold)
			b.ok(save...)
			if left := namesIn(t, out); !slices.Equal(left, []string{"image"}) {
				t.Errorf("after the next save: %q", left)
			}
			nothingLeft(t, b)
			if tc.name == "oci-dir" {
				blob, err := os.ReadFile(filepath.Join(out, "image", "blobs", "sha256", img.Layers[0].Descriptor.Digest.Encoded()))
				if err != nil || !bytes.Equal(blob, img.Layers[0].Blob) {
					t.Errorf("the layer in the directory is not that of the image: %v", err)
				}
				return
			}
			b.ok("rmi", ref)
			b.ok("load", "-q", "-i", filepath.Join(out, "image"))
		})
	}
}

// namesIn are the names in a directory.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
