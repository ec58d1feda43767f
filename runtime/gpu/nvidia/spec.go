package nvidia

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/nvidia-container-toolkit/pkg/nvcdi"
	"tags.cncf.io/container-device-interface/pkg/cdi"
	"tags.cncf.io/container-device-interface/specs-go"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// target is a device that a container gets.
type target struct {
	uuid   string
	handle nvml.Device
	minor  int // of the GPU, which a MIG device is part of
	mig    bool
	gi, ci int
	compat bool // CUDA may be newer than the driver on it
}

// spec makes the specification of some devices.
func (s *session) spec(r gpu.SpecRequest, out *gpu.Reply) error {
	wanted, unknown := parseCapabilities(r.Capabilities)
	if len(unknown) > 0 {
		out.Warnings = append(out.Warnings, unknownWarning(unknown))
	}
	if wanted[compute] {
		s.makeUVM()
	}
	targets, err := s.targets(r.UUIDs)
	if err != nil {
		return err
	}
	compat := r.CUDACompat
	if compat != gpu.CompatOff && compat != gpu.CompatForce && slices.ContainsFunc(targets, func(t target) bool { return !t.compat }) {
		compat = gpu.CompatOff
	}
	generator, err := s.generator(nvcdi.ModeNvml, compat)
	if err != nil {
		return err
	}
	edits, err := s.driverEdits(generator)
	if err != nil {
		return err
	}
	for _, t := range targets {
		own, err := s.deviceEdits(generator, t)
		if err != nil {
			return err
		}
		edits.Append(&cdi.ContainerEdits{ContainerEdits: own})
	}
	if wanted[compat32] {
		edits.Append(&cdi.ContainerEdits{ContainerEdits: s.libraries32()})
	}
	out.Warnings = append(out.Warnings, s.lacking(edits.ContainerEdits, wanted)...)
	f := finisher{self: s.Self, wanted: wanted, uuids: r.UUIDs, compat: compat, root: s.place.root}
	out.CDI, err = f.finish(edits.ContainerEdits)
	return err
}

// targets looks the devices up.
func (s *session) targets(uuids []string) ([]target, error) {
	found := make([]target, 0, len(uuids))
	for _, uuid := range uuids {
		t, err := s.target(uuid)
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}

func (s *session) target(uuid string) (target, error) {
	t := target{uuid: uuid}
	var ret nvml.Return
	if t.handle, ret = s.lib.DeviceGetHandleByUUID(uuid); ret != nvml.SUCCESS {
		return t, unusable(uuid, ret)
	}
	if t.mig, ret = t.handle.IsMigDeviceHandle(); ret != nvml.SUCCESS {
		return t, unusable(uuid, ret)
	}
	whole := t.handle
	if t.mig {
		if whole, ret = t.handle.GetDeviceHandleFromMigDeviceHandle(); ret != nvml.SUCCESS {
			return t, unusable(uuid, ret)
		}
		if t.gi, t.ci, ret = instanceIDs(t.handle); ret != nvml.SUCCESS {
			return t, unusable(uuid, ret)
		}
	}
	if t.minor, ret = whole.GetMinorNumber(); ret != nvml.SUCCESS {
		return t, unusable(uuid, ret)
	}
	t.compat = s.mayRunNewerCUDA(whole)
	return t, nil
}

func unusable(uuid string, ret nvml.Return) error {
	kind := gpu.UnknownDevice
	if ret == nvml.ERROR_NO_PERMISSION {
		kind = gpu.NotPermitted
	}
	return failuref(kind, "%s: %s", uuid, plain(ret))
}

// mayRunNewerCUDA reports whether CUDA's compatibility libraries work on a GPU: they do on those for data centres, and end a program
// with CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE on others (CUDA Compatibility, "Forward Compatibility").
func (s *session) mayRunNewerCUDA(handle nvml.Device) bool {
	if !s.has("nvmlDeviceGetBrand") {
		return false
	}
	brand, ret := handle.GetBrand()
	return ret == nvml.SUCCESS && slices.Contains([]nvml.BrandType{nvml.BRAND_TESLA, nvml.BRAND_NVIDIA}, brand)
}

// generator is NVIDIA's own. It asks the library that is loaded, and never makes a device or changes a group.
func (s *session) generator(mode nvcdi.Mode, compat gpu.Compat, more ...nvcdi.Option) (nvcdi.Interface, error) {
	// The generator looks for programs on the PATH of this process.
	if err := os.Setenv("PATH", s.place.searchPath()); err != nil {
		return nil, err
	}
	disabled := []string{
		"apply-cuda-memory-limits", "update-application-profile", // not ours to decide
		"disable-device-node-modification", // nobody in a container can make nodes: its user namespace, and the lack of CAP_MKNOD
	}
	if compat == gpu.CompatOff || compat == gpu.CompatForce {
		disabled = append(disabled, string(nvcdi.EnableCudaCompatHook))
	}
	ldconfig := findLdconfig()
	if ldconfig == "" {
		disabled = append(disabled, string(nvcdi.UpdateLDCacheHook))
	}
	namer, err := nvcdi.NewDeviceNamer(nvcdi.DeviceNameStrategyIndex)
	if err != nil {
		return nil, err
	}
	options := []nvcdi.Option{
		nvcdi.WithLogger(s.Log),
		nvcdi.WithMode(mode),
		nvcdi.WithNvmlLib(s.lib),
		nvcdi.WithDriverRoot(s.place.root),
		nvcdi.WithDevRoot(s.place.dev),
		nvcdi.WithDeviceNamers(namer), // the names are not used: all becomes one device
		nvcdi.WithNVIDIACDIHookPath(s.Self),
		nvcdi.WithLdconfigPath(ldconfig),
		nvcdi.WithLibrarySearchPaths(s.place.libraries),
		nvcdi.WithConfigSearchPaths(s.place.configs),
		nvcdi.WithDisabledHooks(disabled...),
		nvcdi.WithFeatureFlags(nvcdi.FeatureNoAdditionalGIDsForDeviceNodes, nvcdi.FeatureDisableNvsandboxUtils),
	}
	return nvcdi.New(append(options, more...)...)
}

// findLdconfig is the host's ldconfig: a container's may be missing, and is never run. "" on a host without.
func findLdconfig() string {
	for _, path := range []string{"/sbin/ldconfig.real", "/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig"} {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// driverEdits are what every container with a GPU needs of the driver.
func (s *session) driverEdits(generator nvcdi.Interface) (*cdi.ContainerEdits, error) {
	edits, err := generator.GetCommonEdits()
	if err != nil {
		version, _, _ := s.versions()
		if libraries, _ := filepath.Glob(filepath.Join(s.place.directory(), "lib*.so."+version)); version != "" && len(libraries) == 0 {
			return nil, failuref(gpu.DriverBroken, "%s: no libraries of driver %s, which the kernel has loaded", s.place.directory(), version)
		}
		return nil, failuref(gpu.DriverBroken, "finding the driver's files: %w", err)
	}
	return edits, nil
}

// deviceEdits are what one device needs. MIG devices are put together here: NVIDIA's generator asks for their profile in a way that
// is for privileged users alone.
func (s *session) deviceEdits(generator nvcdi.Interface, t target) (*specs.ContainerEdits, error) {
	nodes := []string{s.place.device(fmt.Sprint("nvidia", t.minor))}
	edits := &specs.ContainerEdits{}
	if t.mig {
		caps, err := s.capNodes(migMinors(s.proc), t.minor, t.gi, t.ci)
		if err != nil {
			return nil, failuref(gpu.DriverBroken, "%s: %w", t.uuid, err)
		}
		nodes = append(nodes, caps...)
		for _, node := range nodes {
			edits.DeviceNodes = append(edits.DeviceNodes, s.node(node))
		}
	} else {
		devices, err := generator.GetDeviceSpecsByID(t.uuid)
		if err == nil && len(devices) != 1 {
			err = errors.New("the generator knows no such device")
		}
		if err != nil {
			return nil, failuref(gpu.DriverBroken, "%s: %w", t.uuid, err)
		}
		edits = &devices[0].ContainerEdits
	}
	// The generator leaves out in silence what is not there.
	for _, node := range nodes {
		if !isNode(node) {
			return nil, failuref(gpu.DriverBroken, "%s: %s: no such device node", t.uuid, node)
		}
	}
	return edits, nil
}

// node is a device node at its usual place in the container.
func (s *session) node(path string) *specs.DeviceNode {
	return &specs.DeviceNode{HostPath: path, Path: "/" + strings.TrimPrefix(strings.TrimPrefix(path, s.place.dev), "/"), Permissions: "rwm"}
}

func isNode(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// lacking are warnings about what the machine has not, and a job will miss.
func (s *session) lacking(edits *specs.ContainerEdits, wanted capabilities) []string {
	var warnings []string
	if wanted[compute] && !isNode(s.place.device("nvidia-uvm")) {
		warnings = append(warnings, s.place.device("nvidia-uvm")+" is not there: nvidia-smi will work and CUDA will not; loading the kernel module nvidia-uvm makes it (nvidia-modprobe -c 0 -u)")
	}
	if wanted[compute] && !slices.ContainsFunc(edits.Mounts, func(m *specs.Mount) bool {
		return strings.HasPrefix(filepath.Base(m.ContainerPath), "libcuda.so.")
	}) {
		warnings = append(warnings, s.place.directory()+": no libcuda.so: the driver is installed without its libraries for computing")
	}
	if findLdconfig() == "" {
		warnings = append(warnings, "this host has no ldconfig: programs in the container find the driver's libraries by LD_LIBRARY_PATH alone")
	}
	return warnings
}

// finisher brings edits into the form in which a container of an ordinary user can have them.
type finisher struct {
	self   string
	wanted capabilities
	uuids  []string
	compat gpu.Compat
	root   string // of the driver
}

// finish is the whole specification, in JSON: one device with everything in it.
func (f finisher) finish(edits *specs.ContainerEdits) (json.RawMessage, error) {
	final := specs.ContainerEdits{
		Env: f.env(edits.Env), DeviceNodes: f.nodes(edits.DeviceNodes), Mounts: f.mounts(edits.Mounts), Hooks: f.hooks(edits.Hooks),
	}
	spec := &specs.Spec{Kind: "nvidia.com/gpu", Devices: []specs.Device{{Name: "all", ContainerEdits: final}}}
	version, err := specs.MinimumRequiredVersion(spec)
	if err != nil {
		return nil, fmt.Errorf("making the specification: %w", err)
	}
	spec.Version = version
	return json.Marshal(spec)
}
