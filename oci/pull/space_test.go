package pull_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

// tmpfsEnv makes a process of this test pull "REF DIR OPTIONS" into a file system of its own that it mounts on DIR.
const tmpfsEnv = "CORACLE_TEST_TMPFS"

// pullIntoTmpfs is the process of pullInto. It tells the notes, then what became of the pull and of its partial blobs.
func pullIntoTmpfs(name, dir, options string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return err
	}
	st, err := store.Open(location.Dirs{Data: dir, Layers: dir})
	if err != nil {
		return err
	}
	ref, err := registry.ParseRef(name)
	if err != nil {
		return err
	}
	rec := &recorder{}
	_, err = pull.Image(context.Background(), st, registry.NewClient(registry.Options{}).Source(ref), pull.Options{RangeSize: rangeSize, Progress: rec})
	for _, line := range rec.lines {
		fmt.Println(line)
	}
	var space *pull.SpaceError
	var full *pull.DiskFullError
	switch {
	case errors.As(err, &space):
		fmt.Println("refused:", err, "hint:", space.Hint())
	case errors.As(err, &full):
		fmt.Println("full:", err, "hint:", full.Hint())
	default:
		fmt.Println("result:", err)
	}
	left, err := st.Blobs().List()
	fmt.Println("blobs left:", len(left), err)
	temps, err := os.ReadDir(filepath.Join(dir, "tmp"))
	fmt.Println("temps left:", len(temps), err)
	return nil
}

// pullInto pulls fat into a tmpfs of its own with these mount options.
func pullInto(t *testing.T, reg *warehouse, options string) string {
	t.Helper()
	need.UserNS(t)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", tmpfsEnv, reg.Ref("a:1"), t.TempDir(), options))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestSpace(t *testing.T) {
	reg := newWarehouse(t, nil) // 1 MiB of noise, compressed and not
	for _, c := range []struct {
		options string
		want    []string
		served  bool // anything of the layer
	}{
		{"size=512k", []string{"refused: ", "does not fit: it needs at least 1.05MB (probably ", ", where ", "kB are free", "hint: make room with 'coracle prune'", "--layers DIR", "blobs left: 0"}, false},
		{"size=1500k", []string{"note the image may not fit: it needs at least 1.05MB", "full: ", "no space left on device", "hint: make room", "blobs left: 0"}, true},
		{"size=3m", []string{"note the image may not fit", "result: <nil>", "blobs left: 0"}, true},
		{"size=16m", []string{"result: <nil>", "blobs left: 0"}, true},
		{"size=16m,nr_inodes=16", []string{"refused: ", "does not fit: it needs at least 6 inodes (probably 56, at most 406)", "are free"}, false},
		{"size=16m,nr_inodes=100", []string{"note the image may not fit: it needs at least 6 inodes", "result: <nil>"}, true},
	} {
		reg.served.Store(0)
		out := pullInto(t, reg, c.options)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in:\n%s", c.options, want, out)
			}
		}
		if strings.Contains(out, "may not fit") != strings.Contains(strings.Join(c.want, ""), "may not fit") {
			t.Errorf("%s: a warning too many:\n%s", c.options, out)
		}
		if served := reg.served.Load() > 0; served != c.served {
			t.Errorf("%s: %d bytes served", c.options, reg.served.Load())
		}
	}
}

// How many files a layer has nobody knows before it is unpacked. Where they are too many for the file system it is said that it
// is they, and nothing of the layer is left.
func TestInodesRunOut(t *testing.T) {
	reg := newWarehouse(t, nil)
	files := make([]fixture.Entry, 3000)
	for i := range files {
		files[i] = fixture.File(fmt.Sprintf("f%d", i), "", 0o644)
	}
	reg.Push("a:1", fixture.Image{Layers: []fixture.Layer{fixture.NewLayer(fixture.Gzip, files...)}})
	out := pullInto(t, reg, "size=64m,nr_inodes=1000")
	for _, want := range []string{
		"full: ", "its file system can have 1000 files, and has them (6", "MB are free): ", "no space left on device", "hint: make room", "'df -i'", "blobs left: 0", "temps left: 0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "may not fit") {
		t.Errorf("an empty file takes little of a blob, and yet it was foreseen:\n%s", out)
	}
}

// Layers that are stored need no room, and neither does what is there of a partial blob.
func TestSpaceOfWhatIsThere(t *testing.T) {
	reg, st := fixture.Serve(t), newStore(t)
	huge := fat()
	huge.Layers = slices.Clone(huge.Layers)
	huge.Layers[0].Descriptor.Size = 1 << 60
	reg.PushBlob("a", huge.ConfigBlob())
	reg.Intercept(serveManifest(huge.Manifest()))
	_, err := fetch(t, st, reg.Ref("a:1"))
	if !errors.Is(err, pull.ErrNoSpace) || !errors.Is(err, pull.ErrDiskFull) {
		t.Fatalf("2^60 bytes: %v, want ErrNoSpace", err)
	}
	if left, err := os.ReadDir(filepath.Join(st.Dirs().Layers, "layers", "sha256")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// The same layer, stored.
	fetchStored := fixture.Serve(t)
	fetchStored.Push("a:1", fat())
	if _, err := fetch(t, st, fetchStored.Ref("a:1")); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, st, reg.Ref("a:1")); err != nil {
		t.Errorf("its layers are all stored: %v", err)
	}
}
