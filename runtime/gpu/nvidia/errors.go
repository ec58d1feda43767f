package nvidia

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// failure is an error that the reader of an answer is told the kind of.
type failure struct {
	kind gpu.FailureKind
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// failuref makes a failure; it wraps as fmt.Errorf does.
func failuref(kind gpu.FailureKind, format string, args ...any) error {
	return &failure{kind: kind, err: fmt.Errorf(format, args...)}
}

// asFailure is the answer that an error makes. An error without a kind is this program's own fault.
func asFailure(err error) *gpu.Failure {
	var f *failure
	if errors.As(err, &f) {
		return &gpu.Failure{Kind: f.kind, Message: err.Error()}
	}
	return &gpu.Failure{Kind: gpu.Internal, Message: err.Error()}
}

// plain says what the library's answer means, where its own words (nvml.h) say little.
func plain(ret nvml.Return) string {
	switch ret {
	case nvml.ERROR_NOT_SUPPORTED:
		return "not supported by this device"
	case nvml.ERROR_NO_PERMISSION:
		return "not permitted"
	case nvml.ERROR_FUNCTION_NOT_FOUND:
		return "not known to this driver"
	case nvml.ERROR_GPU_IS_LOST:
		return "the GPU is lost: it has fallen off the bus, or has to be reset"
	case nvml.ERROR_RESET_REQUIRED:
		return "the GPU has to be reset"
	case nvml.ERROR_IRQ_ISSUE:
		return "the kernel has an interrupt problem with the GPU"
	case nvml.ERROR_INSUFFICIENT_POWER:
		return "the GPU's external power cables are not properly attached"
	case nvml.ERROR_NOT_FOUND, nvml.ERROR_INVALID_ARGUMENT:
		return "there is no such device"
	}
	return fmt.Sprintf("the driver says: %v", ret)
}

// isGone reports whether an answer means that the device cannot be asked any more.
func isGone(ret nvml.Return) bool {
	return ret == nvml.ERROR_GPU_IS_LOST || ret == nvml.ERROR_RESET_REQUIRED
}
