package container

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/spec"
)

// What package spec makes goes in the brief form, whatever the options; anything more goes in full. Both arrive as they were.
func TestSpecificationsArrive(t *testing.T) {
	image := ocispec.ImageConfig{Cmd: []string{"true"}, WorkingDir: "/w"}
	every := spec.Options{
		Process:    spec.Process{TTY: true, Workdir: "/work"},
		Filesystem: spec.Filesystem{ReadOnly: true, ShmBytes: 4096, Volumes: []spec.Volume{{Type: spec.Bind, Source: "/a\xff", Target: "/b \xe4", ReadOnly: true}}},
		Security:   spec.Security{AddCapabilities: []string{"ALL"}, NewPrivileges: true},
		Hostname:   "h",
	}
	for _, c := range []struct {
		name    string
		options spec.Options
		change  func(*specs.Spec)
		full    bool
	}{
		{name: "plain", options: spec.Options{}},
		{name: "every option", options: every},
		{name: "devices", change: func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x"}} }, full: true},
		{name: "hooks", change: func(s *specs.Spec) { s.Hooks = &specs.Hooks{} }, full: true},
		{name: "a mount of more fields", change: func(s *specs.Spec) { s.Mounts[0].UIDMappings = []specs.LinuxIDMapping{{Size: 1}} }, full: true},
		{name: "inheritable capabilities", change: func(s *specs.Spec) { s.Process.Capabilities.Inheritable = []string{"CAP_KILL"} }, full: true},
		{name: "a joined namespace", change: func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/proc/1/ns/mnt" }, full: true},
		{name: "no capabilities", change: func(s *specs.Spec) { s.Process.Capabilities = nil }, full: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := spec.New(image, c.options, spec.Host{CgroupV2: true})
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(want)
			}
			raw, err := json.Marshal(newRequest(Config{Spec: want}))
			if err != nil {
				t.Fatal(err)
			}
			var got Request
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if full := strings.Contains(string(raw), `"full":`); full != c.full {
				t.Errorf("full form: %t", full)
			}
			got.Spec.Process.Args, got.Spec.Process.Env = got.Args, got.Env
			if !reflect.DeepEqual(got.Spec.Spec, want) {
				t.Errorf("%+v became %+v", want, got.Spec.Spec)
			}
		})
	}
}
