package hostile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/hostile"
	"github.com/coracle-run/coracle/test/layout"
	"github.com/coracle-run/coracle/test/mlimage"
)

// TestLikeUmoci unpacks the same images with Coracle and with umoci, both as this user, and compares what comes out.
func TestLikeUmoci(t *testing.T) {
	umoci := need.Tool(t, "umoci")
	reg := fixture.Serve(t)
	for _, c := range hostile.Images() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			img := fixture.Image{Layers: c.Layers()}
			name := "image/" + c.Name + ":1"
			reg.Push(name, img)
			got := b.run("pull", reg.Ref(name))
			b.wantStatus(got, 0, hostile.Budget{})
			b.check()
			if t.Failed() {
				return
			}
			writeLayout(t, b.path("layout"), gzipped(img))
			compare(t, b, umoci, "layout:1", b.layers(img))
		})
	}
}

// TestMachineLearningImageLikeUmoci does the same with a real image of a gigabyte.
func TestMachineLearningImageLikeUmoci(t *testing.T) {
	umoci := need.Tool(t, "umoci")
	dir, err := mlimage.Small.Find()
	if err != nil {
		need.Missing(t, "mlimage", err.Error())
	}
	if os.Getenv("CORACLE_TEST_TORTURE") == "" {
		need.Missing(t, "torture", "umoci takes a minute for it; make torture runs it")
	}
	b := newBox(t)
	b.wantStatus(b.run("pull", "oci:"+dir), 0, hostile.Budget{CPU: time.Minute})
	if t.Failed() {
		return
	}
	image, err := layout.Open(dir)
	mustDo(t, err)
	var layers []string
	for _, l := range image.Manifest.Layers {
		layers = append(layers, b.path("store", "layers", "sha256", l.Digest.Encoded(), "flat", "fs"))
	}
	mustDo(t, os.Mkdir(b.path("layout"), 0o700))
	mustDo(t, os.Symlink(filepath.Join(dir, "blobs"), b.path("layout", "blobs")))
	writeIndex(t, b.path("layout"), image.Root) // umoci wants a tag
	compare(t, b, umoci, "layout:1", layers)
}

// compare unpacks an image of a layout with umoci and holds it against layers of the store.
func compare(t *testing.T, b *box, umoci, image string, layers []string) {
	t.Helper()
	start := time.Now().Add(-time.Hour)
	cmd := exec.Command(umoci, "unpack", "--rootless", "--image", image, "bundle")
	cmd.Dir = b.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("umoci: %v: %s", err, out)
	}
	t.Cleanup(func() { forceRemove(t, b.path("bundle")) })
	theirs := lookAs(t, sight{Merged: b.path("bundle", "rootfs"), Hashes: true}).Merged
	for _, dir := range []string{"look/upper", "look/work", "look/merged"} {
		mustDo(t, os.MkdirAll(b.path(dir), 0o755))
	}
	ours := lookAs(t, sight{Root: rootfs.Root{Layers: layers, Upper: b.path("look/upper"), Work: b.path("look/work")}, Merged: b.path("look/merged"), Hashes: true}).Merged
	a, z := lines(ours, start), lines(theirs, start)
	for _, path := range devices(t, layers) {
		delete(z, path) // umoci makes an empty file of each
	}
	if len(a) < 3 {
		t.Fatalf("only %d files to compare", len(a))
	}
	shown := 0
	for _, path := range union(a, z) {
		if a[path] != z[path] {
			if shown++; shown > 20 {
				t.Fatal("and more")
			}
			t.Errorf("%q\ncoracle %s\numoci   %s", path, a[path], z[path])
		}
	}
}

// devices are the paths of the device nodes that Coracle has left out.
func devices(t *testing.T, layers []string) (paths []string) {
	t.Helper()
	for _, dir := range layers {
		file, err := os.Open(filepath.Join(dir, "../owners.jsonl"))
		mustDo(t, err)
		for decoder := json.NewDecoder(file); ; {
			var owner unpack.Owner
			if err := decoder.Decode(&owner); err != nil {
				break
			}
			if owner.Device != "" {
				paths = append(paths, owner.Path)
			}
		}
		mustDo(t, file.Close())
	}
	return paths
}

// lines is one line a file: type, mode, size, content, target, other names, time and attributes. Left out are what Coracle
// says it changes (doc.go of oci/unpack), and the times of what was made by unpacking.
func lines(nodes []hostile.Node, start time.Time) map[string]string {
	first := map[uint64]string{}
	all := map[string]string{}
	for _, n := range nodes {
		if n.Path == "." || n.Kind == unix.S_IFCHR {
			continue // the root directory is the upper one's
		}
		if n.Nlink > 1 && n.Kind != unix.S_IFDIR && first[n.Ino] == "" {
			first[n.Ino] = n.Path
		}
		mode := n.Mode &^ (unix.S_ISUID | unix.S_ISGID)
		switch n.Kind {
		case unix.S_IFDIR:
			mode |= 0o700
			n.Size = 0
		case unix.S_IFREG, unix.S_IFIFO:
			mode = mode&0o777 | 0o400
		}
		mtime := "now"
		if n.Mtime.Before(start) || n.Mtime.After(start.Add(48*time.Hour)) {
			mtime = n.Mtime.UTC().Format(time.RFC3339Nano)
		}
		var attributes []string
		for name, value := range n.Xattrs {
			if strings.HasPrefix(name, "user.") && name != "user.rootlesscontainers" {
				attributes = append(attributes, fmt.Sprintf("%s=%q", name, value))
			}
		}
		slices.Sort(attributes)
		all[n.Path] = fmt.Sprintf("%o %04o %d %s %q %s %s %v", n.Kind, mode, n.Size, n.Hash, n.Link, first[n.Ino], mtime, attributes)
	}
	return all
}

func union(a, b map[string]string) (all []string) {
	for path := range a {
		all = append(all, path)
	}
	for path := range b {
		if _, both := a[path]; !both {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// gzipped is the image as umoci can read it, which knows no zstd.
func gzipped(img fixture.Image) fixture.Image {
	layers := slices.Clone(img.Layers)
	for i, l := range layers {
		if l.Descriptor.MediaType == ocispec.MediaTypeImageLayerZstd {
			layers[i] = fixture.LayerOf(fixture.Gzip, hostile.Unpacked(l))
		}
	}
	img.Layers = layers
	return img
}

// writeLayout writes an OCI image layout with one image, tagged 1.
func writeLayout(t *testing.T, dir string, img fixture.Image) {
	t.Helper()
	blobs := filepath.Join(dir, "blobs", "sha256")
	mustDo(t, os.MkdirAll(blobs, 0o700))
	write := func(path string, data []byte) { mustDo(t, os.WriteFile(path, data, 0o600)) }
	for _, l := range img.Layers {
		write(filepath.Join(blobs, l.Descriptor.Digest.Encoded()), l.Blob)
	}
	for _, blob := range []fixture.Blob{img.ConfigBlob(), img.Manifest()} {
		write(filepath.Join(blobs, blob.Descriptor.Digest.Encoded()), blob.Data)
	}
	writeIndex(t, dir, img.Manifest().Descriptor)
}

// writeIndex makes an OCI image layout of a directory with blobs: with one image, tagged 1.
func writeIndex(t *testing.T, dir string, manifest ocispec.Descriptor) {
	t.Helper()
	manifest.Annotations = map[string]string{ocispec.AnnotationRefName: "1"}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{manifest}})
	mustDo(t, err)
	mustDo(t, os.WriteFile(filepath.Join(dir, "index.json"), index, 0o600))
	mustDo(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600))
}

// forceRemove removes a tree with directories that their owner may not enter.
func forceRemove(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("rm", "-rf", dir)
	cmd.SysProcAttr = asRoot()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
