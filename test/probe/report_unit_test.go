package probe_test

import (
	"slices"
	"strings"
	"testing"
)

const said = "call\tbpf\tdenied EPERM\r\nmount\t/\text4 rw,relatime shared\nmount\t/proc/no-such-file\ttmpfs ro,nosuid\nend\tcomplete\tyes\r\n"

func TestReportsAreRead(t *testing.T) {
	r, err := read(said)
	if err != nil || len(r) != 3 || r[line{"mount", "/"}] != "ext4 rw,relatime shared" {
		t.Errorf("%v, %v", r, err)
	}
	for _, text := range []string{"", "call\tbpf\tdenied EPERM\n", "call\tbpf\nend\tcomplete\tyes\n"} {
		if r, err := read(text); err == nil {
			t.Errorf("%q was taken for %v", text, r)
		}
	}
}

// TestDifferencesShow: what would pass whatever the probe says is no check.
func TestDifferencesShow(t *testing.T) {
	r, err := read(said)
	if err != nil {
		t.Fatal(err)
	}
	m := machine{outside: report{}}
	want := m.plain(r)
	if diff := m.differences(want, want); len(diff) > 0 {
		t.Errorf("a report differs from itself: %q", diff)
	}
	for _, c := range []struct {
		change string
		diff   []string
	}{
		{"+ call: bpf = open", []string{"- call: bpf = denied EPERM", "+ call: bpf = open"}},
		{"+ call: bpf = denied ENOSYS", nil},
		{"+ call: new = open", []string{"+ call: new = open"}},
		{"- call: bpf = denied EPERM", []string{"- call: bpf = denied EPERM"}},
		{"- mount: /proc/no-such-file = tmpfs ro,nosuid", nil},
		{"+ mount: /proc/no-such-file = tmpfs ro", []string{"- mount: /proc/no-such-file = tmpfs ro,nosuid", "+ mount: /proc/no-such-file = tmpfs ro"}},
	} {
		got, err := want.apply(c.change)
		if err != nil {
			t.Fatal(err)
		}
		if diff := m.differences(want, got); !slices.Equal(diff, c.diff) {
			t.Errorf("%s: %q, want %q", c.change, diff, c.diff)
		}
		if back, err := got.apply(strings.Join(m.differences(got, want), "\n")); err != nil || len(c.diff) > 0 && len(m.differences(want, back)) > 0 {
			t.Errorf("%s: differences that are applied lead to %v, %v", c.change, back, err)
		}
	}
	if r, err := want.apply("- call: bpf = open"); err == nil {
		t.Errorf("what is not there could be taken away: %v", r)
	}
}
