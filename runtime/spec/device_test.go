package spec

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestAddDevices(t *testing.T) {
	s := &specs.Spec{
		Process: &specs.Process{Env: []string{"PATH=/bin", "A=image", "LD_LIBRARY_PATH=", "GIVEN=mine"}},
		Mounts:  []specs.Mount{{Destination: "/dev/user", Source: "/of/user"}, {Destination: "/usr/lib/mine"}},
	}
	before := slices.Clone(s.Process.Env)
	hook := specs.Hook{Path: "/hook"}
	AddDevices(s, Devices{
		Nodes: []Node{{"/dev/host", "/dev/x"}, {"/dev/host", "/dev/user"}},
		Mounts: []specs.Mount{
			{Destination: "/usr/lib/a", Source: "/a"}, {Destination: "/usr/lib/mine", Source: "/theirs"}, {Destination: "/usr/lib/a", Source: "/b"},
		},
		Env:   []string{"PATH=/opt/bin", "A=device", "LD_LIBRARY_PATH=/opt/lib", "GIVEN=theirs", "NEW=1"},
		Hooks: &specs.Hooks{CreateContainer: []specs.Hook{hook}},
	}, []string{"GIVEN=mine", "PATH=/bin"})
	want := []specs.Mount{
		{Destination: "/dev/user", Source: "/of/user"}, {Destination: "/usr/lib/mine"}, {Destination: "/usr/lib/a", Source: "/a"},
		{Destination: "/dev/x", Type: "bind", Source: "/dev/host", Options: []string{"bind", "nosuid", "noexec", "rprivate"}},
	}
	if !reflect.DeepEqual(s.Mounts, want) {
		t.Errorf("mounts %+v", s.Mounts)
	}
	if env := []string{"PATH=/opt/bin:/bin", "A=device", "LD_LIBRARY_PATH=/opt/lib", "GIVEN=mine", "NEW=1"}; !slices.Equal(s.Process.Env, env) {
		t.Errorf("variables %q", s.Process.Env)
	}
	if s.Hooks == nil || len(s.Hooks.CreateContainer) != 1 {
		t.Errorf("%+v", s.Hooks)
	}
	if !slices.Equal(before, []string{"PATH=/bin", "A=image", "LD_LIBRARY_PATH=", "GIVEN=mine"}) {
		t.Error("the image's variables were changed in place")
	}
}

func TestJoinDevices(t *testing.T) {
	hooks := func(path string) *specs.Hooks {
		return &specs.Hooks{CreateRuntime: []specs.Hook{{Path: path}}}
	}
	a := Devices{Nodes: []Node{{"/dev/a", "/dev/a"}}, Env: []string{"A=1"}, Hooks: hooks("/a")}
	b := Devices{Nodes: []Node{{"/dev/a", "/dev/a"}, {"/dev/b", "/dev/b"}}, Env: []string{"A=2"}, Hooks: hooks("/b")}
	got := JoinDevices(a, b, Devices{})
	if len(got.Nodes) != 2 || !slices.Equal(got.Env, []string{"A=1", "A=2"}) || len(got.Hooks.CreateRuntime) != 2 || len(a.Hooks.CreateRuntime) != 1 {
		t.Errorf("%+v", got)
	}
	if got := JoinDevices(); got.Hooks != nil {
		t.Errorf("%+v", got)
	}
}

func TestParseNode(t *testing.T) {
	for text, want := range map[string]struct {
		node   Node
		access string
	}{
		"/dev/x":               {Node{"/dev/x", "/dev/x"}, ""},
		"/dev/x:/dev/y":        {Node{"/dev/x", "/dev/y"}, ""},
		"/dev/x:/dev/y:rwm":    {Node{"/dev/x", "/dev/y"}, "rwm"},
		"/dev/null":            {Node{"/dev/null", "/dev/null"}, ""},
		"/dev/x:r":             {Node{"/dev/x", "/dev/x"}, "r"},
		"/srv/d:/dev/../dev/y": {Node{"/srv/d", "/dev/y"}, ""},
	} {
		if node, access, err := ParseNode(text); err != nil || node != want.node || access != want.access {
			t.Errorf("%s: %+v %q, %v", text, node, access, err)
		}
	}
	for _, text := range []string{"", "dev/x", "/x", "/dev/x:/y", "/dev/x:/dev", "/dev/x:/dev/pts", "/dev/x:/dev/y:/dev/z", "/dev/x:/dev/../proc/x", "/dev/x\n", "/dev/x:/dev/y:q", "/dev/zero:/dev/null", "/dev/x:/dev/stdin"} {
		if node, _, err := ParseNode(text); !errors.Is(err, ErrOption) {
			t.Errorf("%q: %+v, %v", text, node, err)
		}
	}
}
