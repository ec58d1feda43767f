package nvidia

import (
	"errors"
	"io/fs"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// Options say how to serve.
type Options struct {
	Self string // path of this program, for the hooks of what it generates
	Log  Log

	// Of tests.
	load func(library string) nvml.Interface
	proc string
	dev  string // root of the file system in whose /dev the nodes are
}

// session is the driver, once it is loaded, and what is remembered between requests.
type session struct {
	Options
	place   place
	lib     nvml.Interface // nil: not loaded
	watched map[string]*watched
}

func newSession(o Options) *session {
	if o.load == nil {
		o.load = func(library string) nvml.Interface { return nvml.New(nvml.WithLibraryPath(library)) }
	}
	if o.proc == "" {
		o.proc = "/proc"
	}
	return &session{Options: o, watched: map[string]*watched{}}
}

// open loads the driver unless it is loaded. It counts its own use: NVIDIA's generator opens and closes it, too.
func (s *session) open(root string) error {
	if s.lib != nil {
		return nil
	}
	place, err := findPlace(root)
	if err != nil {
		return s.withoutLibrary(err)
	}
	lib := s.load(place.library)
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return s.refused(place, ret)
	}
	if s.dev != "" {
		place.dev = s.dev
	}
	s.place, s.lib = place, lib
	if !s.has("nvmlDeviceIsMigDeviceHandle") {
		s.close()
		return failuref(gpu.DriverBroken, "%s: the driver is older than version 450, which is the first that can be used", place.library)
	}
	return nil
}

// close lets go of the driver.
func (s *session) close() {
	if s.lib == nil {
		return
	}
	for _, w := range s.watched {
		w.close()
	}
	s.watched = map[string]*watched{}
	_ = s.lib.Shutdown() // the process ends
	s.lib = nil
}

// has reports whether the driver's library has a function. Calling one that it lacks ends the process.
func (s *session) has(symbol string) bool { return s.lib.Extensions().LookupSymbol(symbol) == nil }

// withoutLibrary adds that a kernel module is there nonetheless: then the driver is only in a place nobody knows.
func (s *session) withoutLibrary(err error) error {
	if version := moduleVersion(s.proc); version != "" {
		return failuref(gpu.NoDriver, "%w; the kernel module of driver %s is loaded, so its libraries are somewhere else", err, version)
	}
	return err
}

// refused says why the library cannot be used.
func (s *session) refused(p place, ret nvml.Return) error {
	module := moduleVersion(s.proc)
	access := openable(p.device("nvidiactl"))
	switch {
	case ret == nvml.ERROR_LIB_RM_VERSION_MISMATCH, module != "" && p.version() != "" && module != p.version():
		return failuref(gpu.DriverBroken, "%s is of driver %s and the loaded kernel module of %s: they have to be the same (after an update, restart the machine or load the module again)",
			p.library, orUnknown(p.version()), orUnknown(module))
	case errors.Is(access, fs.ErrPermission):
		return failuref(gpu.NotPermitted, "%s: %w", p.device("nvidiactl"), access)
	case ret == nvml.ERROR_NO_PERMISSION:
		return failuref(gpu.NotPermitted, "%s: %s", p.library, plain(ret))
	case ret == nvml.ERROR_DRIVER_NOT_LOADED && module == "":
		return failuref(gpu.DriverBroken, "%s is there, but the kernel module nvidia is not loaded", p.library)
	case errors.Is(access, fs.ErrNotExist):
		return failuref(gpu.DriverBroken, "%s: no such device node, though the kernel module of driver %s is loaded", p.device("nvidiactl"), orUnknown(module))
	case ret == nvml.ERROR_LIBRARY_NOT_FOUND:
		return failuref(gpu.DriverBroken, "%s cannot be loaded: it is no library for this machine, or lacks something itself", p.library)
	}
	return failuref(gpu.DriverBroken, "%s: %s", p.library, plain(ret))
}

func orUnknown(version string) string {
	if version == "" {
		return "an unknown version"
	}
	return version
}

// openable tries to open a device node: a scheduler's cgroup refuses that without a trace in the node's mode.
func openable(path string) error { return tryOpen(path, unix.O_RDWR) }

// openableToRead is the same for a node that stands for a capability (nvidia-caps): they are to be read alone.
func openableToRead(path string) error { return tryOpen(path, unix.O_RDONLY) }

func tryOpen(path string, mode int) error {
	fd, err := unix.Open(path, mode|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
