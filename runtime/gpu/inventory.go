package gpu

// Inventory is the driver and its GPUs.
type Inventory struct {
	Driver     string `json:"driver"`              // version: 570.124.06
	CUDA       string `json:"cuda,omitempty"`      // newest that the driver can do: 12.8
	NVML       string `json:"nvml,omitempty"`      // version of the library
	Libraries  string `json:"libraries,omitempty"` // directory of the driver's libraries on the host
	DriverRoot string `json:"driver_root,omitempty"`
	UVM        bool   `json:"uvm"` // /dev/nvidia-uvm is there: without it nvidia-smi works and CUDA does not

	GPUs []Device `json:"gpus"`
}

// Device is one GPU, usable or not.
type Device struct {
	Index   int    `json:"index"` // NVML's, which nvidia-smi shows
	UUID    string `json:"uuid,omitempty"`
	Name    string `json:"name,omitempty"`
	Minor   int    `json:"minor"`         // of /dev/nvidiaN; -1: not known
	PCI     string `json:"pci,omitempty"` // bus id: 00000000:3B:00.0
	Compute string `json:"compute_capability,omitempty"`

	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
	MIG         bool   `json:"mig,omitempty"` // MIG mode: the GPU is used through its instances alone
	Instances   []MIG  `json:"instances,omitempty"`

	Processes []Process `json:"processes,omitempty"`

	Unusable    string `json:"unusable,omitempty"`    // why a job cannot have it: lost, not permitted, ...
	Unreachable bool   `json:"unreachable,omitempty"` // the caller may not open its node: in a scheduler's job somebody else's
}

// MIG is an instance of a GPU in MIG mode.
type MIG struct {
	Index           int       `json:"index"` // NVML's on its GPU
	UUID            string    `json:"uuid"`
	Profile         string    `json:"profile,omitempty"` // 1g.10gb
	GPUInstance     int       `json:"gpu_instance"`
	ComputeInstance int       `json:"compute_instance"`
	MemoryBytes     uint64    `json:"memory_bytes,omitempty"`
	Processes       []Process `json:"processes,omitempty"`
	Unusable        string    `json:"unusable,omitempty"`
}

// Process uses a device.
type Process struct {
	PID         int    `json:"pid"` // as the helper's pid namespace numbers it
	MemoryBytes uint64 `json:"memory_bytes,omitempty"`
}

// Reading is what a device does at one moment. A number that there is none of is nil, and Missing says why.
type Reading struct {
	UUID string `json:"uuid"`

	Utilization       *float64 `json:"utilization,omitempty"`        // of 1: the part of the time in which some kernel ran
	MemoryUtilization *float64 `json:"memory_utilization,omitempty"` // of 1: the part of the time in which memory was read or written
	MemoryUsedBytes   *float64 `json:"memory_used_bytes,omitempty"`  // of the device, by whomever
	PowerWatts        *float64 `json:"power_watts,omitempty"`
	EnergyJoules      *float64 `json:"energy_joules,omitempty"` // since the driver was loaded
	Celsius           *float64 `json:"celsius,omitempty"`
	Throttled         []string `json:"throttled,omitempty"` // why its clocks are below what was asked for: sw_power_cap, hw_thermal_slowdown, ...

	SMActive     *float64 `json:"sm_active,omitempty"`     // of 1, these three from GPM: Hopper and later
	TensorActive *float64 `json:"tensor_active,omitempty"` // of 1
	DRAMActive   *float64 `json:"dram_active,omitempty"`   // of 1

	Processes []Process         `json:"processes,omitempty"`
	Missing   map[string]string `json:"missing,omitempty"` // by the field's name above: "not available on MIG devices"
	Lost      string            `json:"lost,omitempty"`    // the device does not answer any more, and why
}
