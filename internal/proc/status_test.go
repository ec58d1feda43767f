package proc

import (
	"slices"
	"testing"
)

func TestStatus(t *testing.T) {
	const s Status = "Name:\tpt main\\nNSpid:\\t9\nUmask:\t0022\nState:\tT (stopped)\nTgid:\t12\nPid:\t12\nPPid:\t7\nUid:\t1000\t1001\t1001\t1001\n" +
		"Groups:\t \nNSpid:\t12\t3\nVmHWM:\t    1700 kB\nSigCgt:\t0000000180004202\nSeccomp:\t2\nlast:\tline"
	for name, want := range map[string]string{
		"Name": `pt main\nNSpid:\t9`, "Pid": "12", "Groups": "", "NSpid": "12\t3", "VmHWM": "1700 kB", "Seccomp": "2", "last": "line", "pid": "", "Sig": "", "": "",
	} {
		if got := s.Field(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]int{"PPid": 7, "Uid": 1000, "Seccomp": 2, "Name": 0, "Groups": 0, "none": 0} {
		if got := s.Number(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if got := s.Mask("SigCgt"); got != 0x180004202 {
		t.Errorf("mask %x", got)
	}
	if got := s.Mask("Name"); got != 0 {
		t.Errorf("mask %x of no number", got)
	}
	if got := s.State(); got != 'T' {
		t.Errorf("state %c", got)
	}
	if got := s.PIDs(); !slices.Equal(got, []int{12, 3}) {
		t.Errorf("numbers %v", got)
	}
	var none Status
	if none.State() != 0 || none.PIDs() != nil || none.Field("Name") != "" {
		t.Error("nothing says something")
	}
}
