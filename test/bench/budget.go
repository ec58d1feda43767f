package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/trace"
)

// A phase is a part of a start that ends with a mark of internal/trace.
type phase struct {
	Process string  `json:"process"`
	What    string  `json:"what"`
	At      float64 `json:"at_ms"`   // since the process was started
	Took    float64 `json:"took_ms"` // since the phase before, whichever process that was in
}

// stages say in words what libcontainer's log says of where it is. What else it logs is left out.
var stages = []struct{ said, means string }{
	{"=> nsexec container setup", "libcontainer's init executed from a sealed file"},
	{"booting up go runtime", "namespaces made"},
	{"child process in init()", "Go booted again"},
	{"writing sync type:procHooks", "file systems mounted"},
	{"writing sync type:procReady", "root changed, paths covered"},
	{"about to wait on exec fifo", "state written, capabilities dropped"},
}

// measureBudget starts a command some times and returns the medians of when it got where, in the order of time.
func measureBudget(ctx context.Context, b *workshop, c contender, rounds int) ([]phase, error) {
	file := filepath.Join(b.dir, "trace")
	at := map[[2]string][]float64{}
	if c.before != nil {
		if err := c.before(); err != nil {
			return nil, err
		}
	}
	for round := range rounds {
		if err := os.RemoveAll(file); err != nil {
			return nil, err
		}
		cmd := c.command(ctx, round)
		cmd.Env = append(cmd.Env, trace.Env+"="+file)
		start := trace.Now()
		if err := quietly(cmd); err != nil {
			return nil, err
		}
		end := trace.Now()
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for key, when := range readMarks(string(raw)) {
			at[key] = append(at[key], float64(when-start)/1e6)
		}
		last := [2]string{trace.Run, "ended, and waited for"}
		at[last] = append(at[last], float64(end-start)/1e6)
	}
	return inOrder(at), nil
}

// readMarks are the first marks of each kind in a trace, by process and text.
func readMarks(text string) map[[2]string]uint64 {
	marks := map[[2]string]uint64{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(fields) != 3 {
			continue
		}
		when, err := strconv.ParseUint(fields[0], 10, 64)
		what, known := meaning(fields[2])
		if err != nil || !known {
			continue
		}
		key := [2]string{fields[1], what}
		if earlier, ok := marks[key]; !ok || when < earlier {
			marks[key] = when
		}
	}
	return marks
}

func meaning(mark string) (string, bool) {
	said, logged := strings.CutPrefix(mark, "libcontainer: ")
	if !logged {
		return mark, true
	}
	for _, s := range stages {
		if strings.Contains(said, s.said) {
			return s.means, true
		}
	}
	return "", false
}

func inOrder(at map[[2]string][]float64) []phase {
	var phases []phase
	for key, times := range at {
		phases = append(phases, phase{Process: key[0], What: key[1], At: median(times)})
	}
	slices.SortFunc(phases, func(a, b phase) int { return cmp.Or(cmp.Compare(a.At, b.At), strings.Compare(a.What, b.What)) })
	before := 0.0
	for i := range phases {
		phases[i].Took = phases[i].At - before
		before = phases[i].At
	}
	return phases
}

// budgetText is the phases in aligned columns.
func budgetText(phases []phase) string {
	if len(phases) == 0 {
		return ""
	}
	lines := [][]string{{"", "took ms", "at ms", "process"}}
	for _, p := range phases {
		lines = append(lines, []string{p.What, fmt.Sprintf("%.2f", p.Took), fmt.Sprintf("%.2f", p.At), p.Process})
	}
	return "\nwhere the time of a coracle goes (medians; with marks, which cost it half a millisecond)\n\n" + align(lines)
}
