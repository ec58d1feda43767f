package cdi

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/spec"
)

func nvidia() spec.Devices {
	mount := func(p string) specs.Mount {
		return specs.Mount{Source: "/host" + p, Destination: p, Options: []string{"ro"}}
	}
	hook := func(args ...string) specs.Hook {
		return specs.Hook{Path: "/bin/coracle-nvidia", Args: append([]string{"coracle-nvidia", "__cdi-hook"}, args...)}
	}
	return spec.Devices{
		Nodes: []spec.Node{{Source: "/dev/nvidia0", Target: "/dev/nvidia0"}},
		Env:   []string{"A=1"},
		Mounts: []specs.Mount{
			mount("/usr/lib64/libcuda.so.570.1"), mount("/usr/lib/i386/libcuda.so.570.1"), mount("/usr/bin/nvidia-smi"),
			mount("/run/nvidia-persistenced/socket"), mount("/etc/vulkan/icd.d/nvidia_icd.json"),
		},
		Hooks: &specs.Hooks{CreateContainer: []specs.Hook{
			hook("create-symlinks", "--link", "libcuda.so.1::/usr/lib64/libcuda.so"), hook("update-ldcache", "--folder", "/usr/lib64"), hook("chmod", "--path", "/x"),
		}},
	}
}

func TestApart(t *testing.T) {
	names := func(file string) []string {
		if !strings.HasPrefix(file, "/host/") {
			t.Errorf("asked for the name of %s", file)
		}
		return []string{"libcuda.so.570.1", "libcuda.so.1"}
	}
	for _, c := range []struct {
		covered []string
		dir     string
	}{
		{nil, ""}, {[]string{"/data", "/usr/lib64x", "/etc/hosts"}, ""},
		{[]string{"/etc"}, "/run/coracle/driver"}, {[]string{"/usr/lib64"}, "/run/coracle/driver"},
		{[]string{"/usr", "/run"}, "/opt/coracle/driver"}, {[]string{"/etc/ld.so.cache", "/run", "/opt"}, "/coracle/driver"},
	} {
		before := nvidia()
		got, dir := Apart(before, c.covered, names)
		if dir != c.dir {
			t.Errorf("%q: %q, want %q", c.covered, dir, c.dir)
		}
		if !reflect.DeepEqual(before, nvidia()) {
			t.Errorf("%q: what was given has changed", c.covered)
		}
		if dir == "" {
			if len(got.Hooks.CreateContainer) != 3 || len(got.Mounts) != 5 {
				t.Errorf("%q: %+v", c.covered, got)
			}
			continue
		}
		var targets []string
		for _, m := range got.Mounts {
			targets = append(targets, m.Destination)
		}
		want := []string{}
		for _, name := range []string{"libcuda.so.570.1", "libcuda.so.1", "libcuda.so"} {
			want = append(want, dir+"/usr/lib64/"+name)
		}
		for _, name := range []string{"libcuda.so.570.1", "libcuda.so.1", "libcuda.so"} {
			want = append(want, dir+"/usr/lib/i386/"+name)
		}
		want = append(want, dir+"/usr/bin/nvidia-smi")
		if !slices.Contains(c.covered, "/run") {
			want = append(want, "/run/nvidia-persistenced/socket")
		}
		if !slices.Contains(c.covered, "/etc") {
			want = append(want, "/etc/vulkan/icd.d/nvidia_icd.json")
		}
		if !slices.Equal(targets, want) {
			t.Errorf("%q: mounted on %q, want %q", c.covered, targets, want)
		}
		env := []string{"A=1", "LD_LIBRARY_PATH=" + dir + "/usr/lib64:" + dir + "/usr/lib/i386", "PATH=" + dir + "/usr/bin"}
		if !slices.Equal(got.Env, env) || len(got.Nodes) != 1 || len(got.Hooks.CreateContainer) != 1 || got.Hooks.CreateContainer[0].Args[2] != "chmod" {
			t.Errorf("%q: %+v", c.covered, got)
		}
	}
}
