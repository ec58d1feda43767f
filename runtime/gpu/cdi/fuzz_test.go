package cdi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdi "tags.cncf.io/container-device-interface/specs-go"
)

// FuzzEdits: whatever a specification says, in JSON or in YAML, no mount may have set-user-ID programs or devices, no device lies
// elsewhere than below /dev, and no hook is without variables or without an end.
func FuzzEdits(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "nvidia.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("cdiVersion: 0.6.0\nkind: a/b\ndevices:\n- name: 0\n  containerEdits:\n    mounts: [{hostPath: /a, containerPath: /b, options: [dev, suid, rw]}]\n"))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s cdi.Spec
		if decodeYAML(text, &s) != nil || check(s) != nil {
			return
		}
		edits := []cdi.ContainerEdits{s.ContainerEdits}
		for _, d := range s.Devices {
			edits = append(edits, d.ContainerEdits)
		}
		d, err := convert(edits)
		if err != nil {
			return
		}
		for _, m := range d.Mounts {
			if !slices.Contains(m.Options, "nosuid") || !slices.Contains(m.Options, "nodev") || slices.ContainsFunc(m.Options, func(o string) bool {
				return o == "dev" || o == "suid" || strings.HasPrefix(o, "idmap")
			}) || m.Type != "bind" {
				t.Errorf("%+v", m)
			}
		}
		for _, n := range d.Nodes {
			if !strings.HasPrefix(filepath.Clean(n.Target), "/dev/") || !filepath.IsAbs(n.Source) {
				t.Errorf("%+v", n)
			}
		}
		if d.Hooks == nil {
			return
		}
		for _, h := range slices.Concat(d.Hooks.CreateRuntime, d.Hooks.CreateContainer, d.Hooks.StartContainer, d.Hooks.Poststart, d.Hooks.Poststop) {
			if len(h.Env) == 0 || len(h.Args) == 0 || h.Timeout == nil || *h.Timeout <= 0 || *h.Timeout > mostSeconds {
				t.Errorf("%+v", h)
			}
		}
	})
}
