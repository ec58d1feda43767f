package gpu

import (
	"errors"
	"strings"
	"testing"
)

// FuzzSelection: whatever is asked for of whatever machine, the job gets each device once, none that cannot be used, and no more than
// the scheduler gave.
func FuzzSelection(f *testing.F) {
	for _, seed := range [][3]string{
		{"all", "gmlx", "0,1"}, {`"device=0,1"`, "gg", ""}, {"count=2,capabilities=compute", "ggg", "2,0"}, {"GPU-1,MIG-0", "mg", "GPU-1"},
		{"0:1", "m", "MIG-GPU-00000000-0000/1/0"}, {"device=,", "e", "-1"}, {"MIG-", "mm", ","},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, letters, list string) {
		selection, err := ParseSelection(text)
		if err != nil {
			if !errors.Is(err, ErrSelection) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		inventory := machine(letters[:min(len(letters), 16)])
		scope := NewScope("Slurm", func(string) (string, bool) { return list, list != "" })
		chosen, _, err := selection.Choose(inventory, scope)
		if err != nil {
			if len(chosen) > 0 || !errors.Is(err, ErrTooFew) && !errors.Is(err, ErrUnknownDevice) && !errors.Is(err, ErrPermission) {
				t.Errorf("%q of %q: %v, %v", text, letters, names(chosen), err)
			}
			return
		}
		seen := map[string]bool{}
		for _, c := range chosen {
			if seen[c.UUID()] || c.unusable() != "" || c.Device.Unreachable || c.Device.MIG != (c.Instance != nil) {
				t.Errorf("%q of %q: %s", text, letters, names(chosen))
			}
			seen[c.UUID()] = true
		}
		if len(chosen) == 0 != selection.None() || selection.Count > 0 && len(chosen) != selection.Count {
			t.Errorf("%q of %q: %d devices", text, letters, len(chosen))
		}
		if scope.Limited && len(chosen) > 2*max(len(scope.Visible), 1) { // a GPU is two instances at most
			t.Errorf("%q of %q: %s, and the step has %q", text, letters, names(chosen), scope.Visible)
		}
	})
}

// FuzzRequirements: an image may say what it likes.
func FuzzRequirements(f *testing.F) {
	for _, seed := range []string{"cuda>=12.4 brand=tesla,driver>=535,driver<536", "=,!=,<", "cuda", "cuda>=", ">=1", "arch>9.0,,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		inventory := machine("g")
		unmet := Unmet([]string{"NVIDIA_REQUIRE_CUDA=" + value}, inventory, []Choice{{Device: inventory.GPUs[0]}})
		if len(unmet) > 1 || len(unmet) == 1 && !strings.Contains(unmet[0], inventory.Driver) {
			t.Errorf("%q: %q", value, unmet)
		}
	})
}
