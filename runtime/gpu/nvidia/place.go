package nvidia

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/NVIDIA/nvidia-container-toolkit/pkg/lookup"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// managementLibrary is NVML's soname.
const managementLibrary = "libnvidia-ml.so.1"

// place is where the files of a driver are.
type place struct {
	named   string // what would find it again, as gpu.Request's DriverRoot; "": it is in the system's own directories
	root    string // of the file system that it is installed in: "/", or a driver container's
	dev     string // root of the file system in whose /dev the nodes are
	library string // NVML

	// Directories of libraries, on the host. The generator reads the loader's cache and follows every link in it, again and again,
	// unless it is told (50 ms).
	libraries []string

	// Of a driver that lies in one directory of its own, with root "/": where in it. Naming the directory itself as root would move
	// the libraries in the container, and sockets, firmware and MIG capabilities would not be found.
	own               string
	programs, configs []string
}

// ownDirectories are where drivers are installed in one directory of their own: by images of machines in clouds, by Kubernetes'
// installers, by NixOS. A driver container mounts the root of its file system at the first one.
var ownDirectories = []string{
	"/run/nvidia/driver", "/usr/local/nvidia", "/opt/nvidia", "/home/kubernetes/bin/nvidia", "/run/opengl-driver", "/usr/lib/nvidia",
}

// findPlace looks for a driver at a root that was named, or wherever it is usual.
func findPlace(root string) (place, error) {
	if root != "" {
		if !filepath.IsAbs(root) {
			return place{}, failuref(gpu.BadRequest, "driver root %s: not an absolute path", root)
		}
		if p, ok := placeAt(filepath.Clean(root)); ok {
			return p, nil
		}
		return place{}, failuref(gpu.NoDriver, "no %s in %s: looked in its lib64 and lib, and where a root file system has its libraries", managementLibrary, root)
	}
	for _, dir := range append([]string{"/"}, ownDirectories...) {
		if p, ok := placeAt(dir); ok {
			return p, nil
		}
	}
	return place{}, failuref(gpu.NoDriver, "no %s: looked where the loader does and in %s", managementLibrary, strings.Join(ownDirectories, ", "))
}

// placeAt looks for a driver in a root file system, which is told by its /usr, or in a directory that holds all of it.
func placeAt(dir string) (place, bool) {
	if dir == "/" || isDir(filepath.Join(dir, "usr")) {
		return placeInRoot(dir)
	}
	for _, sub := range []string{"lib64", "lib", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "."} {
		library := filepath.Join(dir, sub, managementLibrary)
		if isFile(library) {
			return place{
				named: dir, root: "/", dev: devRoot("/"), library: library,
				own: dir, libraries: []string{filepath.Join(dir, sub)},
				programs: existing(dir, "bin", "sbin", "."),
				configs:  existing(dir, "share", "etc", "."),
			}, true
		}
	}
	return place{}, false
}

// libraryDirectories are where distributions keep a driver's libraries.
var libraryDirectories = []string{
	"usr/lib64", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu",
	"usr/lib/x86_64-linux-gnu/nvidia/current", "usr/lib/aarch64-linux-gnu/nvidia/current",
	"lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu",
}

// placeInRoot looks for a driver in a root file system: where it is usual, and then where the loader's cache says.
func placeInRoot(root string) (place, bool) {
	p := place{root: root, dev: devRoot(root), libraries: different(existing(root, libraryDirectories...))}
	if root != "/" {
		p.named = root
	}
	for _, dir := range p.libraries {
		if library := filepath.Join(dir, managementLibrary); isFile(library) {
			p.library = library
			return p, true
		}
	}
	found, err := lookup.NewLibraryLocator(lookup.WithLogger(Log{}), lookup.WithRoot(root)).Locate(managementLibrary)
	if err != nil || len(found) == 0 {
		return place{}, false
	}
	p.library, p.libraries = found[0], nil // the others may be anywhere
	return p, true
}

// devRoot is the root of the file system that has the device nodes: a driver container's own /dev counts only where the host's has
// no nodes.
func devRoot(root string) string {
	if root != "/" && !exists("/dev/nvidiactl") && isDir(filepath.Join(root, "dev")) {
		return root
	}
	return "/"
}

// directory is where the libraries lie.
func (p place) directory() string { return filepath.Dir(p.library) }

// device is the path of a node, of which the name below /dev is given.
func (p place) device(name string) string { return filepath.Join(p.dev, "dev", name) }

// version is what the name of the library's file says: 570.124.06. "" when it says nothing.
func (p place) version() string {
	file, err := filepath.EvalSymlinks(p.library)
	if err != nil {
		return ""
	}
	version, ok := strings.CutPrefix(filepath.Base(file), "libnvidia-ml.so.")
	if !ok || version == "1" {
		return ""
	}
	return version
}

// searchPath is the PATH on which a driver's programs are looked for: never the caller's, in whose home directory may be others of
// the same name.
func (p place) searchPath() string {
	return strings.Join(append(slices.Clone(p.programs), standardPath...), ":")
}

var standardPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// existing are those of a directory's subdirectories that are there.
func existing(dir string, subs ...string) []string {
	var found []string
	for _, sub := range subs {
		if path := filepath.Join(dir, sub); isDir(path) {
			found = append(found, path)
		}
	}
	return found
}

// different leaves out directories that are others under a second name, as /lib64 mostly is.
func different(dirs []string) []string {
	var kept []string
	var seen []os.FileInfo
	for _, dir := range dirs {
		st, err := os.Stat(dir)
		if err != nil || slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(st, other) }) {
			continue
		}
		seen, kept = append(seen, st), append(kept, dir)
	}
	return kept
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// moduleVersion reads the version of the loaded kernel module from the driver's directory in /proc, "" when there is none.
func moduleVersion(proc string) string {
	raw, err := os.ReadFile(filepath.Join(proc, "driver/nvidia/version"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	for word := range strings.FieldsSeq(first) {
		if isVersion(word) {
			return word
		}
	}
	return ""
}

// isVersion reports whether a word is numbers and dots: 570.124.06.
func isVersion(word string) bool {
	var a, b int
	if n, err := fmt.Sscanf(word, "%d.%d", &a, &b); err != nil || n != 2 {
		return false
	}
	return strings.Trim(word, "0123456789.") == ""
}
