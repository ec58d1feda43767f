package nvidia

import (
	"path/filepath"

	"github.com/NVIDIA/nvidia-container-toolkit/pkg/nvcdi"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// csvFiles is where a Jetson's own software lists, one file of lines "TYPE, PATH" for each part of it, what a container needs.
const csvFiles = "etc/nvidia-container-runtime/host-files-for-container.d/*.csv"

// jetson makes the specification of a Jetson's GPU, which is part of the processor: there is one, and older software has no NVML.
func (s *session) jetson(request gpu.Request, out *gpu.Reply) error {
	r := *request.Spec
	root := request.DriverRoot
	if root == "" {
		root = "/"
	}
	files, err := filepath.Glob(filepath.Join(root, csvFiles))
	if err != nil || len(files) == 0 {
		return failuref(gpu.NoDriver, "no files %s: this is no Jetson, or its container software (nvidia-l4t-init) is not installed", filepath.Join(root, csvFiles))
	}
	wanted, unknown := parseCapabilities(r.Capabilities)
	if len(unknown) > 0 {
		out.Warnings = append(out.Warnings, unknownWarning(unknown))
	}
	j := &session{Options: s.Options, place: place{named: root, root: root, dev: devRoot(root)}}
	compat := r.CUDACompat
	if s.lib == nil && s.open(request.DriverRoot) != nil {
		// Without NVML there is no version of the driver to compare those of the image's libraries with.
		j.lib = s.load("")
		if compat != gpu.CompatForce {
			compat = gpu.CompatOff
		}
	} else {
		j.lib = s.lib
	}
	generator, err := j.generator(nvcdi.ModeCSV, compat, nvcdi.WithCSVFiles(files),
		nvcdi.WithFeatureFlags(nvcdi.FeatureDisableMultipleCSVDevices, nvcdi.FeatureNoAdditionalGIDsForDeviceNodes, nvcdi.FeatureDisableNvsandboxUtils))
	if err != nil {
		return err
	}
	edits, err := generator.GetCommonEdits()
	if err != nil {
		return failuref(gpu.DriverBroken, "finding the driver's files: %w", err)
	}
	devices, err := generator.GetDeviceSpecsByID("all")
	if err != nil {
		return failuref(gpu.DriverBroken, "finding the device nodes: %w", err)
	}
	for i := range devices {
		edits.Append(&cdi.ContainerEdits{ContainerEdits: &devices[i].ContainerEdits})
	}
	if len(edits.DeviceNodes) == 0 {
		return failuref(gpu.DriverBroken, "none of the device nodes that %s list is there", filepath.Join(root, csvFiles))
	}
	f := finisher{self: s.Self, wanted: wanted, uuids: r.UUIDs, compat: compat, root: j.place.root}
	out.CDI, err = f.finish(edits.ContainerEdits)
	return err
}
