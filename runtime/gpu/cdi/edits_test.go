package cdi

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOwnEdits: what of a specification as NVIDIA's toolkit makes it is left for an ordinary user's container. Among it are no groups
// and no id maps, no mount without nosuid and nodev, no hook without variables or without an end.
func TestOwnEdits(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "nvidia.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Own(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "nvidia.golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(got)) != strings.TrimSpace(string(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, never := range []string{"idmap", "Gids", "rshared", `"dev"`, `"suid"`, "109"} {
		if strings.Contains(string(got), never) {
			t.Errorf("it says %s", never)
		}
	}
}

func TestBadEdits(t *testing.T) {
	const begins = `{"cdiVersion":"0.6.0","kind":"a.com/b","devices":[{"name":"x","containerEdits":{`
	for _, c := range []struct{ text, says string }{
		{`{`, "unexpected end"},
		{`{"cdiVersion":"2.0.0","kind":"a/b"}`, `version "2.0.0"`},
		{`{"cdiVersion":"1.2.0","kind":"a/b"}`, "1.1 is the newest"},
		{`{"kind":"a/b"}`, `version ""`},
		{`{"cdiVersion":"0.6.0","kind":"gpu"}`, `kind "gpu"`},
		{begins + `"env":["A"]}}]}`, `"A" is no variable`},
		{begins + `"env":["=A"]}}]}`, `is no variable`},
		{begins + `"deviceNodes":[{"path":"/opt/gpu"}]}}]}`, `not below /dev`},
		{begins + `"deviceNodes":[{"path":"/dev/../etc/passwd"}]}}]}`, `not below /dev`},
		{begins + `"deviceNodes":[{"path":"dev/x"}]}}]}`, `no absolute path`},
		{begins + `"mounts":[{"hostPath":"/a","containerPath":"b"}]}}]}`, `absolute paths`},
		{begins + `"mounts":[{"hostPath":"/a","containerPath":"/b\n"}]}}]}`, `absolute paths`},
		{begins + `"mounts":[{"hostPath":"/a","containerPath":"/b","type":"tmpfs"}]}}]}`, `only binds`},
		{begins + `"hooks":[{"hookName":"createContainer","path":"true"}]}}]}`, `no absolute path`},
		{begins + `"hooks":[{"hookName":"whenever","path":"/bin/true"}]}}]}`, `no moment for one`},
		{begins + `"hooks":[{"hookName":"poststop","path":"/bin/true","env":["X"]}]}}]}`, `no variable`},
		{begins + `"netDevices":[{"hostInterfaceName":"ib0","name":"ib0"}]}}]}`, `network device ib0`},
		{begins + `"intelRdt":{"closID":"x"}}}]}`, `resource director`},
	} {
		if _, err := Own([]byte(c.text)); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.text, err, c.says)
		}
	}
	if _, err := Own([]byte(begins + `"env":null,"hooks":[null],"mounts":[null],"deviceNodes":[null]}}]}`)); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for _, text := range []string{"nvidia.com/gpu=0", "amd.com/gpu=all", "vendor.com/class-1=GPU-8d55b1c2:0"} {
		if n, err := ParseName(text); err != nil || n.String() != text || !IsName(text) {
			t.Errorf("%s: %v, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "gpu", "a/b", "a/b=", "/b=c", "a/=c", "a/b=c=d", "a/b/c=d", "-a/b=c", "a/b=c.", "a b/c=d", "a/b=\x1b"} {
		if n, err := ParseName(text); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
	for _, text := range []string{"/dev/x", "/dev/a=b", "infiniband", "a=b"} {
		if IsName(text) {
			t.Errorf("%s is taken for a name", text)
		}
	}
}
