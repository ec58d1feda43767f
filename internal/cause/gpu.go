package cause

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// GPU is what is known of one of the job's GPUs at its end.
type GPU struct {
	Index int
	Peak  float64 // bytes in use at most, by whomever; 0: not known
	Own   float64 // by the job
	Total float64
	Lost  string // why it did not answer any more
}

// gpuSigns are what frameworks say when a GPU has no memory left: PyTorch, CUDA and its libraries, JAX and TensorFlow, ROCm.
var gpuSigns = []string{
	"CUDA out of memory", "torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError", "CUDA error: out of memory", "CUDA_ERROR_OUT_OF_MEMORY",
	"cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "RESOURCE_EXHAUSTED: Out of memory",
	"OOM when allocating tensor", "HIP out of memory", "hipErrorOutOfMemory",
}

// gpuFull is from which part of its memory on a device counts as full: a look a second does not see the last of it, and drivers keep
// some for themselves.
const gpuFull = 0.9

// gpuMemory: the driver tells the job alone, so that it goes by what the job says; what was measured confirms it.
func (e Evidence) gpuMemory() (Verdict, bool) {
	said := e.gpuSaid()
	if said == "" {
		return Verdict{}, false
	}
	const certain, probable = "Out of GPU memory", "Probably out of GPU memory"
	text := fmt.Sprintf(": the job ended with status %d after it printed %q", e.Exit.Code, said)
	advice := "Use a smaller batch, gradient accumulation or lower precision, or a GPU with more memory; other processes may use the same GPU."
	g := e.fullestGPU()
	if g == nil {
		return Verdict{record.GPUOOM, probable + text + ".", advice}, true
	}
	text += fmt.Sprintf("; GPU %d had %s of its %s in use at most", g.Index, size(g.Peak), size(g.Total))
	advice = "Use a smaller batch, gradient accumulation or lower precision, or a GPU with more memory."
	if others := g.Peak - g.Own; g.Own > 0 && others > (1-gpuFull)*g.Total {
		text += fmt.Sprintf(", %s of it by others", size(others))
		advice = "Others use the same GPU: ask for one of your own. " + advice
	}
	if g.Peak >= gpuFull*g.Total {
		return Verdict{record.GPUOOM, certain + text + ".", advice}, true
	}
	return Verdict{record.GPUOOM, probable + text + ", when it was looked at.", advice}, true
}

// fullestGPU is the device with the least room; nil when that is not known.
func (e Evidence) fullestGPU() (fullest *GPU) {
	for i := range e.GPUs {
		g := &e.GPUs[i]
		if g.Peak > 0 && g.Total > 0 && (fullest == nil || g.Peak/g.Total > fullest.Peak/fullest.Total) {
			fullest = g
		}
	}
	return fullest
}

// withLostGPUs says of a job that failed which of its GPUs did not answer any more.
func (e Evidence) withLostGPUs(v Verdict) Verdict {
	if e.Exit.Code == 0 {
		return v
	}
	for _, g := range e.GPUs {
		if g.Lost == "" {
			continue
		}
		v.Message += fmt.Sprintf(" GPU %d was lost before that: %s.", g.Index, strings.TrimSuffix(g.Lost, "."))
		if v.Cause == record.Exited || v.Cause == record.Signalled {
			v.Advice = "Probably it ended for want of that GPU. The kernel's log has the driver's reason (Xid); the machine may have to be restarted."
		}
	}
	return v
}

// gpuRecord is the evidence of a GPU without room, when the job has said that there was one.
func (e Evidence) gpuRecord() *record.GPUEvidence {
	g := e.fullestGPU()
	if g == nil || e.gpuSaid() == "" {
		return nil
	}
	return &record.GPUEvidence{Index: g.Index, MemoryBytes: int64(g.Peak), JobMemoryBytes: int64(g.Own), TotalBytes: int64(g.Total)}
}

// gpuSaid is the last line by which a job that failed says that a GPU had no memory left, in short.
func (e Evidence) gpuSaid() string {
	const most = 160
	if e.Exit.Code == 0 {
		return ""
	}
	for _, line := range slices.Backward(strings.FieldsFunc(e.Tail, func(r rune) bool { return r == '\n' || r == '\r' })) {
		if slices.ContainsFunc(gpuSigns, func(sign string) bool { return strings.Contains(line, sign) }) {
			return strings.ToValidUTF8(line[:min(len(line), most)], "")
		}
	}
	return ""
}
