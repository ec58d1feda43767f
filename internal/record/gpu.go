package record

import "maps"

// GPU is a device that the job was given: a GPU, or an instance of one in MIG mode.
type GPU struct {
	Index       int    `json:"index"`          // as the job numbers its devices, from 0
	Vendor      string `json:"vendor"`         // nvidia, amd
	UUID        string `json:"uuid,omitempty"` // of a MIG device its own
	Name        string `json:"name,omitempty"` // NVIDIA H100 80GB HBM3
	PCI         string `json:"pci,omitempty"`  // bus id of the GPU: 00000000:3B:00.0
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	Compute     string `json:"compute_capability,omitempty"`
	HostIndex   *int   `json:"host_index,omitempty"` // of the GPU, as nvidia-smi numbers it on the host
	MIG         string `json:"mig,omitempty"`        // profile of an instance: 1g.10gb
	Parent      string `json:"parent,omitempty"`     // of an instance: the UUID of its GPU
}

// GPUDriver is what drives the job's GPUs. The kernel's own version of NVIDIA's driver is in Host.
type GPUDriver struct {
	Version string `json:"version,omitempty"` // of the libraries that the job was given: 570.124.06
	CUDA    string `json:"cuda,omitempty"`    // newest that it can do: 12.8
	Root    string `json:"root,omitempty"`    // where it was found, other than in the usual places
	Compat  string `json:"cuda_compat,omitempty"`
}

// Device is what --device gave the job.
type Device struct {
	Name   string   `json:"name"`             // as asked for: /dev/fuse, amd.com/gpu=0
	Spec   string   `json:"spec,omitempty"`   // CDI: the file that says what belongs to it
	Digest string   `json:"digest,omitempty"` // of that file
	Nodes  []string `json:"nodes,omitempty"`  // device nodes, as the job sees them
}

// GPUUse is what one of the job's GPUs did while the job ran. What could not be measured is absent, and Missing says why.
type GPUUse struct {
	Utilization       *Extent `json:"utilization,omitempty"`        // of 1: the part of the time in which some kernel ran
	MemoryUtilization *Extent `json:"memory_utilization,omitempty"` // of 1: the part of the time in which its memory was read or written
	SMActive          *Extent `json:"sm_active,omitempty"`          // of 1, as the next two: by the GPU's own counters (GPM)
	TensorActive      *Extent `json:"tensor_active,omitempty"`
	DRAMActive        *Extent `json:"dram_active,omitempty"`
	PowerWatts        *Extent `json:"power_watts,omitempty"`
	Celsius           *Extent `json:"celsius,omitempty"`

	MemoryBytes    *int64   `json:"memory_bytes,omitempty"`     // the most in use on the device, by whomever
	JobMemoryBytes *int64   `json:"job_memory_bytes,omitempty"` // the most in use by the job's own processes
	EnergyJoules   *float64 `json:"energy_joules,omitempty"`

	Throttled map[string]float64 `json:"throttled_seconds,omitempty"` // by reason: clocks were below what was asked for
	Missing   map[string]string  `json:"missing,omitempty"`           // by field: why there is no such number
	Seconds   float64            `json:"measured_seconds"`            // for how long it was measured
	Lost      string             `json:"lost,omitempty"`              // it did not answer any more, and why
}

// Extent is the mean of a number and the greatest that was seen.
type Extent struct {
	Mean float64 `json:"mean"`
	Max  float64 `json:"max"`
}

// gpuUse takes secrets out of what drivers and helpers have said.
func (r *redactor) gpuUse(use map[string]GPUUse) map[string]GPUUse {
	out := maps.Clone(use)
	for index, u := range use {
		u.Lost, u.Missing = r.text(u.Lost), maps.Clone(u.Missing)
		for field, why := range u.Missing {
			u.Missing[field] = r.text(why)
		}
		out[index] = u
	}
	return out
}
