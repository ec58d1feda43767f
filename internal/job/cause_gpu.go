package job

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// gpuEvidence is what is known of one of the job's GPUs at its end.
type gpuEvidence struct {
	index int
	peak  float64 // bytes in use at most, by whomever; 0: not known
	own   float64 // by the job
	total float64
	lost  string // why it did not answer any more
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
func (e evidence) gpuMemory() (verdict, bool) {
	said := e.gpuSaid()
	if said == "" {
		return verdict{}, false
	}
	text := fmt.Sprintf("ut of GPU memory: the job ended with status %d after it printed %q", e.exit.Code, said)
	advice := "Use a smaller batch, gradient accumulation or lower precision, or a GPU with more memory; other processes may use the same GPU."
	g := e.fullestGPU()
	if g == nil {
		return verdict{record.GPUOOM, "Probably o" + text + ".", advice}, true
	}
	text += fmt.Sprintf("; GPU %d had %s of its %s in use at most", g.index, size(g.peak), size(g.total))
	advice = "Use a smaller batch, gradient accumulation or lower precision, or a GPU with more memory."
	if others := g.peak - g.own; g.own > 0 && others > (1-gpuFull)*g.total {
		text += fmt.Sprintf(", %s of it by others", size(others))
		advice = "Others use the same GPU: ask for one of your own. " + advice
	}
	if g.peak >= gpuFull*g.total {
		return verdict{record.GPUOOM, "O" + text + ".", advice}, true
	}
	return verdict{record.GPUOOM, "Probably o" + text + ", when it was looked at.", advice}, true
}

// fullestGPU is the device with the least room; nil when that is not known.
func (e evidence) fullestGPU() (fullest *gpuEvidence) {
	for i := range e.gpus {
		g := &e.gpus[i]
		if g.peak > 0 && g.total > 0 && (fullest == nil || g.peak/g.total > fullest.peak/fullest.total) {
			fullest = g
		}
	}
	return fullest
}

// withLostGPUs says of a job that failed which of its GPUs did not answer any more.
func (e evidence) withLostGPUs(v verdict) verdict {
	if e.exit.Code == 0 {
		return v
	}
	for _, g := range e.gpus {
		if g.lost == "" {
			continue
		}
		v.message += fmt.Sprintf(" GPU %d was lost before that: %s.", g.index, strings.TrimSuffix(g.lost, "."))
		if v.cause == record.Exited || v.cause == record.Signalled {
			v.advice = "Probably it ended for want of that GPU. The kernel's log has the driver's reason (Xid); the machine may have to be restarted."
		}
	}
	return v
}

// gpuRecord is the evidence of a GPU without room, when the job has said that there was one.
func (e evidence) gpuRecord() *record.GPUEvidence {
	g := e.fullestGPU()
	if g == nil || e.gpuSaid() == "" {
		return nil
	}
	return &record.GPUEvidence{Index: g.index, MemoryBytes: int64(g.peak), JobMemoryBytes: int64(g.own), TotalBytes: int64(g.total)}
}

// gpuSaid is the last line by which a job that failed says that a GPU had no memory left, in short.
func (e evidence) gpuSaid() string {
	const most = 160
	if e.exit.Code == 0 {
		return ""
	}
	for _, line := range slices.Backward(strings.FieldsFunc(e.tail, func(r rune) bool { return r == '\n' || r == '\r' })) {
		if slices.ContainsFunc(gpuSigns, func(sign string) bool { return strings.Contains(line, sign) }) {
			return strings.ToValidUTF8(line[:min(len(line), most)], "")
		}
	}
	return ""
}
