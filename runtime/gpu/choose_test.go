package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// machine has GPUs as the letters say: g a whole one, m one in MIG mode with two instances, e the same without any, l a lost one, x one
// that cannot be opened.
func machine(letters string) (inventory Inventory) {
	inventory = Inventory{Driver: "570.124.06", CUDA: "12.8"}
	for i, letter := range letters {
		d := Device{Index: i, Minor: i, Name: "NVIDIA H200", UUID: fmt.Sprintf("GPU-%d0000000-0000", i), Compute: "9.0"}
		switch letter {
		case 'm':
			for j := range 2 {
				d.Instances = append(d.Instances, MIG{Index: j, UUID: fmt.Sprintf("MIG-%d%d000000-0000", i, j), Profile: "3g.71gb", GPUInstance: j + 1})
			}
			d.MIG = true
		case 'e':
			d.MIG = true
		case 'l':
			d.Unusable = "it has fallen off the bus"
		case 'x':
			d.Unusable, d.Unreachable = "permission denied", true
		}
		inventory.GPUs = append(inventory.GPUs, d)
	}
	return inventory
}

func names(chosen []Choice) string {
	var list []string
	for _, c := range chosen {
		list = append(list, c.String())
	}
	return strings.Join(list, " ")
}

func TestChoose(t *testing.T) {
	slurm := func(visible ...string) Scope { return Scope{Scheduler: "Slurm", Visible: visible, Limited: true} }
	own := func(visible ...string) Scope { return Scope{Visible: visible, Limited: true} }
	for _, c := range []struct {
		machine, asked string
		scope          Scope
		want           string
		notes          int
	}{
		{machine: "gg", asked: "all", want: "0 1"},
		{machine: "gg", asked: "none", want: ""},
		{machine: "", asked: "0", want: ""},
		{machine: "ggg", asked: "2", want: "0 1"},
		{machine: "lgg", asked: "2", want: "1 2", notes: 1},
		{machine: "glg", asked: "all", want: "0 2", notes: 1},
		{machine: "gxg", asked: "all", want: "0 2"},
		{machine: "gm", asked: "all", want: "0 1:0 1:1"},
		{machine: "mg", asked: "2", want: "0:0 0:1"},
		{machine: "eg", asked: "all", want: "1", notes: 1},
		{machine: "ggg", asked: "device=2,0", want: "2 0"},
		{machine: "ggg", asked: "device=1,1,GPU-1", want: "1"},
		{machine: "gm", asked: "device=1", want: "1:0 1:1"},
		{machine: "gm", asked: "1:1", want: "1:1"},
		{machine: "gm", asked: "MIG-11", want: "1:1"},
		{machine: "gm", asked: "GPU-1", want: "1:0 1:1"},
		{machine: "gg", asked: "GPU-1", want: "1"},
		{machine: "gl", asked: "device=0", want: "0"},

		// A step of a scheduler: numbers count what it can reach, as CUDA does.
		{machine: "xgxg", asked: "all", scope: Scope{Scheduler: "Slurm"}, want: "1 3"},
		{machine: "xgxg", asked: "all", scope: slurm("0", "1"), want: "1 3"},
		{machine: "xgxg", asked: "all", scope: slurm("1"), want: "3"},
		{machine: "gggg", asked: "all", scope: slurm("2"), want: "2"},
		{machine: "gggg", asked: "1", scope: slurm("3", "2"), want: "3"},
		{machine: "gggg", asked: "all", scope: slurm("GPU-2"), want: "2"},
		{machine: "gggg", asked: "device=2", scope: slurm("2"), want: "2"},
		{machine: "gm", asked: "all", scope: slurm("MIG-11"), want: "1:1"},
		{machine: "gm", asked: "all", scope: slurm("MIG-GPU-10000000-0000/2/0"), want: "1:1"},

		// A person's own variable narrows what "all" is, and not what is named.
		{machine: "gggg", asked: "all", scope: own("1", "3"), want: "1 3"},
		{machine: "gggg", asked: "device=0", scope: own("1"), want: "0"},
		{machine: "gggg", asked: "device=0", scope: own("17"), want: "0"},

		// A repeated run has the devices that it had, if it can.
		{machine: "gggg", asked: "2", scope: Scope{Preferred: []string{"GPU-30000000-0000", "GPU-10000000-0000"}}, want: "3 1"},
		{machine: "ggg", asked: "2", scope: Scope{Preferred: []string{"GPU-30000000-0000", "GPU-10000000-0000"}}, want: "0 1"},
		{machine: "gl", asked: "1", scope: Scope{Preferred: []string{"GPU-10000000-0000"}}, want: "0", notes: 1},
		{machine: "gg", asked: "all", scope: Scope{Scheduler: "Slurm", Visible: []string{"0"}, Limited: true, Preferred: []string{"GPU-10000000-0000"}}, want: "0"},
	} {
		selection, err := ParseSelection(c.asked)
		if err != nil {
			t.Fatal(err)
		}
		chosen, notes, err := selection.Choose(machine(c.machine), c.scope)
		if err != nil || names(chosen) != c.want || len(notes) != c.notes {
			t.Errorf("%s of %s, %+v: %s, %q, %v; want %s", c.asked, c.machine, c.scope, names(chosen), notes, err, c.want)
		}
	}
}

func TestChooseFails(t *testing.T) {
	slurm := func(visible ...string) Scope { return Scope{Scheduler: "Slurm", Visible: visible, Limited: true} }
	for _, c := range []struct {
		machine, asked string
		scope          Scope
		want           error
		says           string
	}{
		{"", "all", Scope{}, ErrTooFew, "not enough GPUs: --gpus all, and there is none"},
		{"gg", "4", Scope{}, ErrTooFew, "4 asked for, and there are 2: 0 (NVIDIA H200, GPU-00000000), 1 (NVIDIA H200, GPU-10000000)"},
		{"gl", "2", Scope{}, ErrTooFew, "there is 1: 0"},
		{"l", "all", Scope{}, ErrTooFew, "there is 1: 0 (NVIDIA H200, GPU-00000000: it has fallen off the bus)"},
		{"e", "all", Scope{}, ErrTooFew, "GPU 0 is in MIG mode, and has no instances"},
		{"xx", "all", Scope{}, ErrTooFew, "the device nodes of 2 further ones cannot be opened"},
		{"gx", "2", Scope{Scheduler: "Slurm"}, ErrTooFew, "Slurm has not given this job 1 further ones"},
		{"gggg", "2", slurm("3"), ErrTooFew, "there is 1: 3 (NVIDIA H200, GPU-30000000) (CUDA_VISIBLE_DEVICES=3)"},
		{"gg", "all", slurm(), ErrTooFew, "(CUDA_VISIBLE_DEVICES=)"},
		{"gg", "all", slurm("0", "7"), ErrUnknownDevice, "CUDA_VISIBLE_DEVICES=0,7 names 7, and there are 2"},
		{"gg", "all", slurm("GPU-"), ErrUnknownDevice, "CUDA_VISIBLE_DEVICES=GPU- names GPU-, and there are 2"},
		{"gggg", "device=0", slurm("3"), ErrPermission, "Slurm has given this step CUDA_VISIBLE_DEVICES=3"},
		{"gx", "device=1", Scope{Scheduler: "Slurm"}, ErrPermission, "1: Slurm has not given it to this job: there is 1"},
		{"gx", "device=1", Scope{}, ErrPermission, "1: permission denied"},
		{"gl", "device=1", Scope{}, ErrUnknownDevice, "1 cannot be used: it has fallen off the bus"},
		{"gg", "device=2", Scope{}, ErrUnknownDevice, "no such GPU: 2: there are 2: 0"},
		{"gg", "GPU-7", Scope{}, ErrUnknownDevice, "GPU-7: there are 2"},
		{"gg", "0:1", Scope{}, ErrUnknownDevice, "0:1"},
		{"mm", "MIG-1", Scope{}, ErrUnknownDevice, "several UUIDs begin so: there are 2: 1:0 (NVIDIA H200 3g.71gb, MIG-10000000)"},
		{strings.Repeat("g", 20), "21", Scope{}, ErrTooFew, "there are 20: 0 (NVIDIA"},
	} {
		selection, err := ParseSelection(c.asked)
		if err != nil {
			t.Fatal(err)
		}
		chosen, _, err := selection.Choose(machine(c.machine), c.scope)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || len(chosen) > 0 {
			t.Errorf("%s of %s: %v; want %v with %q", c.asked, c.machine, err, c.want, c.says)
		}
	}
}

func TestScope(t *testing.T) {
	for text, want := range map[string][]string{
		"0,1": {"0", "1"}, "": nil, "-1": nil, "0,-1,2": {"0"}, "NoDevFiles": nil, " GPU-1 , 2": {"GPU-1", "2"}, "0,,1": {"0"},
	} {
		got := NewScope("Slurm", func(name string) (string, bool) { return text, name == "CUDA_VISIBLE_DEVICES" })
		if !got.Limited || !slices.Equal(got.Visible, want) {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if got := NewScope("", func(string) (string, bool) { return "", false }); got.Limited {
		t.Errorf("%+v", got)
	}
}

func TestEnvironment(t *testing.T) {
	for asked, want := range map[string][]string{
		"all":        {"NVIDIA_VISIBLE_DEVICES=GPU-00000000-0000,GPU-10000000-0000"},
		"device=1,0": {"NVIDIA_VISIBLE_DEVICES=GPU-10000000-0000,GPU-00000000-0000", "CUDA_VISIBLE_DEVICES=GPU-10000000-0000,GPU-00000000-0000"},
	} {
		selection, err := ParseSelection(asked)
		if err != nil {
			t.Fatal(err)
		}
		chosen, _, err := selection.Choose(machine("gg"), Scope{})
		if got := Environment(chosen); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", asked, got, err)
		}
	}
}
