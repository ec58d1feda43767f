package spec

import (
	"errors"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestCapabilities(t *testing.T) {
	for _, c := range []struct{ base, add, drop, want []string }{
		{nil, nil, nil, nil},
		{nil, nil, []string{"ALL"}, nil},
		{nil, []string{"chown", "CAP_KILL", "Chown"}, nil, []string{"CAP_CHOWN", "CAP_KILL"}},
		{nil, []string{"chown"}, []string{"all"}, []string{"CAP_CHOWN"}},
		{nil, []string{"chown", "kill"}, []string{"cap_kill"}, []string{"CAP_CHOWN"}},
		{nil, []string{"ALL"}, []string{"ALL"}, nil},
		{[]string{"CAP_CHOWN", "CAP_KILL"}, []string{"fowner", "kill"}, []string{"chown"}, []string{"CAP_FOWNER", "CAP_KILL"}},
		{[]string{"CAP_CHOWN"}, []string{"kill"}, []string{"ALL"}, []string{"CAP_KILL"}},
		{[]string{"CAP_CHOWN"}, []string{"ALL"}, []string{"ALL"}, nil},
	} {
		got, err := Capabilities(c.base, c.add, c.drop)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q, add %q, drop %q: %q, %v; want %q", c.base, c.add, c.drop, got, err, c.want)
		}
	}
	all, err := Capabilities(nil, []string{"ALL"}, []string{"SYS_ADMIN"})
	if err != nil || len(all) < 40 || slices.Contains(all, "CAP_SYS_ADMIN") || !slices.Contains(all, "CAP_CHECKPOINT_RESTORE") {
		t.Errorf("all but one: %q, %v", all, err)
	}
	for _, bad := range [][2][]string{{{"ROOT"}, nil}, {nil, {"CAP_"}}, {{""}, nil}, {{"CAP_CAP_KILL"}, nil}} {
		if got, err := Capabilities(nil, bad[0], bad[1]); !errors.Is(err, ErrOption) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestCapabilityMask(t *testing.T) {
	if got := CapabilityMask([]string{"CAP_CHOWN", "CAP_KILL", "CAP_CHECKPOINT_RESTORE"}); got != 1|1<<5|1<<40 {
		t.Errorf("%#x", got)
	}
}

func TestSecurityOptionsReachTheSpecification(t *testing.T) {
	image := ocispec.ImageConfig{Cmd: []string{"x"}}
	s, err := New(image, Options{Security: Security{AddCapabilities: []string{"kill"}, NewPrivileges: true}}, modern)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Process.Capabilities
	if s.Process.NoNewPrivileges || !slices.Equal(c.Bounding, []string{"CAP_KILL"}) || !slices.Equal(c.Effective, c.Bounding) || !slices.Equal(c.Permitted, c.Bounding) {
		t.Errorf("%v, %+v", s.Process.NoNewPrivileges, c)
	}
	if len(c.Inheritable)+len(c.Ambient) != 0 { // CVE-2022-29162
		t.Errorf("%+v", c)
	}
	if _, err := New(image, Options{Security: Security{AddCapabilities: []string{"power"}}}, modern); !errors.Is(err, ErrOption) {
		t.Errorf("%v", err)
	}
}
