package nvidia

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
)

func TestPlaceAt(t *testing.T) {
	for _, tc := range []struct {
		name, file    string
		more          []string // directories
		own           bool
		libraries     []string
		programs, cfg []string
	}{
		{"Fedora's root", "usr/lib64/libnvidia-ml.so.1", nil, false, []string{"usr/lib64"}, nil, nil},
		{"Debian's root", "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", []string{"dev"}, false, []string{"usr/lib/x86_64-linux-gnu"}, nil, nil},
		{"Debian's alternatives", "usr/lib/aarch64-linux-gnu/nvidia/current/libnvidia-ml.so.1", nil, false, []string{"usr/lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu/nvidia/current"}, nil, nil},
		{"lib64", "lib64/libnvidia-ml.so.1", []string{"bin", "share"}, true, []string{"lib64"}, []string{"bin", "."}, []string{"share", "."}},
		{"lib", "lib/libnvidia-ml.so.1", []string{"bin", "etc"}, true, []string{"lib"}, []string{"bin", "."}, []string{"etc", "."}},
		{"nothing below", "libnvidia-ml.so.1", nil, true, []string{"."}, []string{"."}, []string{"."}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range append([]string{filepath.Dir(tc.file)}, tc.more...) {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, tc.file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := findPlace(dir)
			if err != nil {
				t.Fatal(err)
			}
			if p.named != dir || p.library != filepath.Join(dir, tc.file) || p.directory() != filepath.Join(dir, filepath.Dir(tc.file)) {
				t.Errorf("place: %+v", p)
			}
			root, own := dir, ""
			if tc.own {
				root, own = "/", dir
			}
			below := func(subs []string) (paths []string) {
				for _, sub := range subs {
					paths = append(paths, filepath.Join(dir, sub))
				}
				return paths
			}
			if p.root != root || p.own != own || !slices.Equal(p.libraries, below(tc.libraries)) || !slices.Equal(p.programs, below(tc.programs)) || !slices.Equal(p.configs, below(tc.cfg)) {
				t.Errorf("place: %+v", p)
			}
		})
	}
}

func TestDifferent(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"usr/lib64", "usr/lib"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib64", filepath.Join(dir, "lib64")); err != nil {
		t.Fatal(err)
	}
	got := different([]string{dir + "/usr/lib64", dir + "/usr/lib", dir + "/lib64", dir + "/none"})
	if want := []string{dir + "/usr/lib64", dir + "/usr/lib"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestVersions(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	p, err := findPlace(m.root)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.version(); got != "550.54.15" {
		t.Errorf("the library is of version %q", got)
	}
	for text, want := range map[string]string{
		openModule: "VERSION", closedModule: "VERSION", "": "", "NVRM version: something 12\n": "", "x\nNVRM 550.54.15\n": "",
	} {
		m.file("proc/driver/nvidia/version", replaceVersion(text))
		if want == "VERSION" {
			want = "565.57.01"
		}
		if got := moduleVersion(m.proc); got != want {
			t.Errorf("%.40q is of version %q, want %q", text, got, want)
		}
	}
}
