package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

const (
	idleGPU     = 0.01 // of the time; less is nothing
	waitingGPU  = 0.50 // less than that, while the job waits for I/O, is its input's fault
	highPower   = 0.25 // of the time held back by the power limit, which is usual for some
	heldGPU     = 0.10 // or by something else
	lowGPUSpace = 0.50
)

// gpuNotes are what can be learned from what the GPUs did.
func (r *Run) gpuNotes(w Words, wall float64) (notes []string) {
	if r.GPUError != "" {
		notes = append(notes, "The GPUs were not measured to the end: "+strings.TrimSuffix(r.GPUError, ".")+".")
	}
	for i := range r.GPUs {
		if g := &r.GPUs[i]; g.Use.Lost != "" {
			notes = append(notes, fmt.Sprintf("%s did not answer any more: %s. Look at the kernel's log for Xid messages; the machine may have to be restarted.", gpuName(g.Index), strings.TrimSuffix(g.Use.Lost, ".")))
		}
	}
	if wall < least {
		return notes
	}
	for _, text := range []string{r.noteGPU(w, wall), r.noteGPUIdle(), r.noteGPUSpace(w), r.noteGPUHeld(), r.noteGPUShared(w)} {
		if text != "" {
			notes = append(notes, text)
		}
	}
	return notes
}

// busyGPUs is the mean utilization of the devices of which it is known.
func (r *Run) busyGPUs() (mean float64, n int) {
	for i := range r.GPUs {
		if u := r.GPUs[i].Use.Utilization; u != nil {
			mean, n = mean+u.Mean, n+1
		}
	}
	return mean / max(1, float64(n)), n
}

// inputBound reports whether the GPUs wait for what the job reads, and for which part of the time it waits for I/O.
func (r *Run) inputBound(wall float64) (waited float64, ok bool) {
	busy, n := r.busyGPUs()
	seconds, known := r.counter("pressure_io_seconds", func(t *record.Totals) *float64 { return t.IOPressure })
	waited = min(1, seconds/wall)
	return waited, known && n > 0 && busy < waitingGPU && waited >= highPressure && wall >= least && !r.hostWide("totals.pressure_io_seconds")
}

func (r *Run) noteGPU(_ Words, wall float64) string {
	busy, n := r.busyGPUs()
	if n == 0 {
		return ""
	}
	the := "The GPU was"
	if n > 1 {
		the = "The GPUs were"
	}
	if waited, ok := r.inputBound(wall); ok {
		text := fmt.Sprintf("%s busy %.0f%% of the time, while the job waited for I/O %.0f%%: probably held up by its input.", the, 100*busy, 100*waited)
		cpu, known := r.counter("cpu_seconds", func(t *record.Totals) *float64 { return &t.CPUSeconds })
		if most, what := r.cores(); known && most > 1 && cpu/wall < lowCPU*most {
			return text + fmt.Sprintf(" It used %s of %s %s: try more data-loader workers, or data on a faster disk.", short(cpu/wall), short(most), what)
		}
		return text + " Try data on a faster disk, or in fewer and larger files."
	}
	if busy < lowGPU {
		return fmt.Sprintf("%s busy %.0f%% of the time: larger batches, more data-loader workers or fewer GPUs would use them better.", the, 100*busy)
	}
	return ""
}

// noteGPUIdle names devices that did nothing while others did.
func (r *Run) noteGPUIdle() string {
	var idle []string
	for i := range r.GPUs {
		if u := r.GPUs[i].Use.Utilization; u != nil && u.Mean < idleGPU {
			idle = append(idle, gpuName(r.GPUs[i].Index))
		}
	}
	if len(idle) == 0 || len(idle) == len(r.GPUs) {
		return ""
	}
	return fmt.Sprintf("%s did nothing: the job uses %d of its %d GPUs.", strings.Join(idle, ", "), len(r.GPUs)-len(idle), len(r.GPUs))
}

// noteGPUSpace says when a busy GPU has room for more.
func (r *Run) noteGPUSpace(w Words) string {
	if r.Cause == record.GPUOOM || len(r.GPUs) == 0 {
		return ""
	}
	most, of := int64(0), int64(0)
	for i := range r.GPUs {
		g := &r.GPUs[i]
		used := g.memory()
		if used == nil || g.MemoryBytes == 0 {
			return ""
		}
		most, of = max(most, *used), max(of, g.MemoryBytes)
	}
	if most == 0 || float64(most) >= lowGPUSpace*float64(of) {
		return ""
	}
	return fmt.Sprintf("It used at most %s of the %s of GPU memory: there is room for larger batches.", w.Memory(most), w.Memory(of))
}

func (r *Run) noteGPUHeld() string {
	var texts []string
	power := true
	for i := range r.GPUs {
		g := &r.GPUs[i]
		reason, share := g.held()
		isPower := strings.Contains(reason, "power")
		if share < heldGPU || isPower && share < highPower {
			continue
		}
		power = power && isPower
		texts = append(texts, fmt.Sprintf("%s %.0f%% of the time (%s)", gpuName(g.Index), 100*share, reason))
	}
	if len(texts) == 0 {
		return ""
	}
	advice := "too hot, or short of power: tell whoever looks after the machine."
	if power {
		advice = "it reached its power limit, which is usual for heavy work."
	}
	return "Clocks were held down: " + strings.Join(texts, ", ") + "; " + advice
}

// noteGPUShared names devices that others used as well.
func (r *Run) noteGPUShared(w Words) string {
	const much = 1 << 30
	i := slices.IndexFunc(r.GPUs, func(g GPU) bool {
		all, own := g.Use.MemoryBytes, g.Use.JobMemoryBytes
		return all != nil && own != nil && *own > 0 && *all-*own > much
	})
	if i < 0 {
		return ""
	}
	g := &r.GPUs[i]
	return fmt.Sprintf("Others used %s at the same time: %s of its memory, and a part of its time.", gpuName(g.Index), w.Memory(*g.Use.MemoryBytes-*g.Use.JobMemoryBytes))
}
