package gpu

import "encoding/json"

// Protocol is the version of the lines between Coracle and its helper. Both are built together: another version is an error.
const Protocol = 1

// HelperName is the helper's program.
const HelperName = "coracle-nvidia"

// HookCommand is the helper's first argument when a container's CDI hooks run it.
const HookCommand = "__cdi-hook"

// Op is what a helper is asked for.
type Op string

// The operations.
const (
	List  Op = "list"  // Inventory: what is there
	Spec  Op = "spec"  // CDI: what a container needs to use some devices
	Watch Op = "watch" // Readings: what some devices do at this moment
)

// Request is one line to the helper.
type Request struct {
	Protocol int `json:"protocol"`
	Op       Op  `json:"op"`

	// DriverRoot is where to look for the driver: the root of a file system that has one (a driver container's), or the one
	// directory in which all of it lies; "": wherever it is usual. It counts in the first request.
	DriverRoot string `json:"driver_root,omitempty"`

	Spec  *SpecRequest `json:"spec,omitempty"`
	UUIDs []string     `json:"uuids,omitempty"` // watch: of GPUs and MIG devices
}

// SpecRequest says which devices are to be had, and how.
type SpecRequest struct {
	UUIDs        []string `json:"uuids"`        // of GPUs and MIG devices, in the job's order; none: the driver's own files alone
	Capabilities []string `json:"capabilities"` // as in NVIDIA_DRIVER_CAPABILITIES: compute, utility, video, graphics, display, compat32, ngx, all
	CUDACompat   Compat   `json:"cuda_compat,omitempty"`
	Jetson       bool     `json:"jetson,omitempty"` // by the CSV files of a Jetson's own software instead of NVML
}

// Compat says whether a job uses the CUDA compatibility libraries of its image instead of the driver's own.
type Compat string

// The values of --cuda-compat.
const (
	CompatAuto  Compat = "auto" // when the image's are newer than the driver, and the GPU may be used so
	CompatOff   Compat = "off"
	CompatForce Compat = "force"
)

// Reply is one line from the helper: one of Failure, Inventory, CDI and Readings.
type Reply struct {
	Protocol int      `json:"protocol"`
	Warnings []string `json:"warnings,omitempty"` // for the user, of things that went on without something

	Failure   *Failure        `json:"failure,omitempty"`
	Inventory *Inventory      `json:"inventory,omitempty"`
	CDI       json.RawMessage `json:"cdi,omitempty"` // a specification of one device, "all", see tags.cncf.io/container-device-interface
	Readings  []Reading       `json:"readings,omitempty"`
}

// Failure is why there is no answer.
type Failure struct {
	Kind    FailureKind `json:"kind"`
	Message string      `json:"message"`
}

// FailureKind tells failures apart that need different advice.
type FailureKind string

// The kinds of failure.
const (
	NoDriver      FailureKind = "no-driver"      // no libnvidia-ml.so.1 where it was looked for
	DriverBroken  FailureKind = "driver-broken"  // library and kernel module do not fit, or the module is not loaded
	NotPermitted  FailureKind = "not-permitted"  // device nodes that the caller may not open
	UnknownDevice FailureKind = "unknown-device" // a UUID that is not there, or lost
	BadRequest    FailureKind = "bad-request"
	Internal      FailureKind = "internal"
)
