package gpu_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	fake "github.com/coracle-run/coracle/test/gpu"
)

// container does the same inside of one, and what people do there.
func (l *lane) container(t *testing.T) {
	need.Overlay(t)
	store := filepath.Join(t.TempDir(), "store")
	t.Cleanup(func() { makeRemovable(t, store) })
	coracle := func(t *testing.T, args ...string) (string, error) {
		t.Helper()
		cmd := exec.Command(l.path("coracle"), args...)
		cmd.Env = append(os.Environ(), "CORACLE_ROOT="+store, "CORACLE_NO_SETTLE=1")
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		t.Logf("coracle %s: %v\n%s", strings.Join(args, " "), err, said.String())
		return string(out), err
	}
	if out, err := coracle(t, "load", "-q", "-i", l.path("image.tar")); err != nil {
		t.Fatalf("loading the image: %s", out)
	}
	run := func(t *testing.T, args ...string) (string, error) {
		t.Helper()
		return coracle(t, append([]string{"run", "-q", "--gpus", "all"}, args...)...)
	}
	t.Run("copy", func(t *testing.T) {
		out, err := run(t, fake.LaneImage, "copy", "64", "3")
		l.copied(t, out, err)
		page, err := coracle(t, "runs", "show", "last", "--json")
		if err != nil {
			t.Fatal(err)
		}
		l.recorded(t, page)
	})
	t.Run("nvidia-smi", func(t *testing.T) {
		out, err := run(t, fake.LaneImage, "nvidia-smi")
		t.Logf("%s", out)
		if err != nil || !strings.Contains(out, "NVIDIA-SMI") {
			t.Errorf("nvidia-smi does not run: %v", err)
		}
	})
	t.Run("torch", func(t *testing.T) { l.torch(t, run) })
}

// recorded looks at what the record has of the job's GPUs.
func (l *lane) recorded(t *testing.T, page string) {
	t.Helper()
	var record struct {
		GPUs []struct{ UUID, Name string }
		Use  map[string]struct {
			Power   *struct{ Mean float64 } `json:"power_watts"`
			Missing map[string]string
		} `json:"gpu_use"`
		Error string `json:"gpu_error"`
	}
	if err := json.Unmarshal([]byte(page), &record); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", told(record))
	if record.Error != "" || len(record.GPUs) == 0 || len(record.Use) != len(record.GPUs) {
		t.Errorf("the record has %d GPUs and the use of %d: %s", len(record.GPUs), len(record.Use), record.Error)
	}
	for index, use := range record.Use {
		if use.Power == nil && use.Missing["power_watts"] == "" {
			t.Errorf("GPU %s: no power, and no reason", index)
		}
	}
}

// matmul multiplies on the GPU and on the CPU, and compares.
const matmul = `
import torch
a = torch.randn(512, 512); b = torch.randn(512, 512)
c = (a.cuda() @ b.cuda()).cpu()
print(torch.__version__, torch.version.cuda, torch.cuda.device_count(), torch.cuda.get_device_name(0))
assert (c - a @ b).abs().max() < 0.1, (c - a @ b).abs().max()
print("same")
`

// findTorch prints where Python has its parts, and at last itself.
const findTorch = `
import os, sys, torch
for path in {sys.prefix, sys.base_prefix, os.path.dirname(os.path.dirname(torch.__file__))}: print(path)
print(sys.executable)`

// torch multiplies matrices with the host's PyTorch, which the container has by read-only binds: the host's libraries, and where else
// its Python is.
func (l *lane) torch(t *testing.T, run func(*testing.T, ...string) (string, error)) {
	python := need.Tool(t, "python3")
	found, err := exec.Command(python, "-c", findTorch).CombinedOutput()
	if err != nil {
		need.Missing(t, "torch", python+": "+err.Error()+": "+string(found))
	}
	paths := strings.Split(strings.TrimSpace(string(found)), "\n")
	dirs, program := paths[:len(paths)-1], paths[len(paths)-1]
	args, have := hostLibraries(), []string{"/usr/lib/", "/usr/lib64/", "/usr/local/"}
	bind := func(from, to string) {
		if to != "/usr" && !slices.ContainsFunc(have, func(dir string) bool { return strings.HasPrefix(to+"/", dir) }) {
			args, have = append(args, "-v", from+":"+to+":ro"), append(have, to+"/")
		}
	}
	slices.Sort(dirs) // one above another first
	for _, dir := range dirs {
		bind(dir, dir)
	}
	names, file, err := links(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		bind(file, name)
	}
	out, err := run(t, append(args, fake.LaneImage, program, "-c", matmul)...)
	t.Logf("%s", out)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(out), "\nsame") {
		t.Errorf("PyTorch does not multiply: %v", err)
	}
}

// links are the names by which a path leads to a file, and the file.
func links(path string) (names []string, file string, err error) {
	if file, err = filepath.EvalSymlinks(path); err != nil {
		return nil, "", err
	}
	for range 16 {
		names = append(names, path)
		text, err := os.Readlink(path)
		if err != nil {
			return names, file, nil //nolint:nilerr // the last one is no link
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(filepath.Dir(path), text)
		}
		path = text
	}
	return names, file, nil
}
