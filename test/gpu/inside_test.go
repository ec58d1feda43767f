package gpu_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/gpu"
)

// kinds are the images, by what they are like.
var kinds = map[string]func(gpu.Driver) (fixture.Image, error){"debian": gpu.Debian, "distroless": gpu.Distroless, "alpine": gpu.Alpine}

// TestGPUsInside: what a job is given works and is not its to change, whatever its image has, and wherever the host's driver is.
func TestGPUsInside(t *testing.T) {
	need.GPUHelper(t)
	for _, place := range []gpu.Place{gpu.Usual, gpu.Folder} {
		b := newBox(t, gpu.Setup{Place: place, GPUs: 2})
		for kind, build := range kinds {
			t.Run(string(place)+"/"+kind, func(t *testing.T) {
				inner := b.of(t)
				ref := inner.pull(build(driver(t)))
				for _, flags := range [][]string{nil, {"--read-only"}} {
					run := append(append([]string{"--gpus", "all"}, flags...), ref)
					wantLines(t, inner.lines(append(run, "copy", "1")...), "devices 2", "same yes", "ok")
					if kind != "distroless" {
						inner.look(append(run, "sh", "-c", look)...)
					}
					if kind == "debian" {
						inner.cached(append(run, "ldconfig", "-p")...)
						wantLines(t, inner.lines(append(run, "list")...), "driver "+gpu.Version, "count 2")
					}
				}
			})
		}
	}
}

// of is the box for a test inside of the one it was made for.
func (b *box) of(t *testing.T) *box {
	inner := *b
	inner.t = t
	return &inner
}

// look prints nodes, what nvidia-smi says, and each mount of the driver's that can be written to.
const look = `ls /dev | grep nvidia; nvidia-smi
while read -r _ _ _ _ point options _; do
	case $point in /dev/*) ;; *nvidia*|*libcuda*)
		case ,$options, in *,ro,*) echo "mount $point" ;; *) echo "WRITABLE $point" ;; esac
		echo x 2>/dev/null >>"$point" && echo "WRITTEN $point" ;;
	esac
done </proc/self/mountinfo
env | grep -i -e nvidia -e cuda
true`

// look fails the test unless the job sees what it should.
func (b *box) look(args ...string) {
	b.t.Helper()
	got := b.lines(args...)
	wantLines(b.t, got, "nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "NVIDIA-SMI "+gpu.Version, "GPU 0", "GPU 1",
		"NVIDIA_VISIBLE_DEVICES=GPU-fa4e0000-0000-4000-8000-000000000000,GPU-fa4e0000-0000-4000-8000-000000000001")
	mounts := 0
	for _, line := range got {
		if strings.HasPrefix(line, "WRIT") {
			b.t.Errorf("the driver is not the job's to change: %s", line)
		}
		if strings.HasPrefix(line, "mount ") && strings.HasSuffix(line, ".so."+gpu.Version) {
			mounts++
		}
	}
	if mounts < 4 {
		b.t.Errorf("%d libraries are mounted: %q", mounts, got)
	}
}

// cached fails the test unless the loader's cache has the driver, from where it is mounted.
func (b *box) cached(args ...string) {
	b.t.Helper()
	got := b.lines(args...)
	for _, name := range []string{"libcuda.so.1 ", "libcuda.so ", "libnvidia-ml.so.1 ", "libnvidia-ptxjitcompiler.so.1 ", "libc.so.6 "} {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), name) }) {
			b.t.Errorf("the loader's cache has no %s: %q", name, got)
		}
	}
}

// TestModes: a job may be who it likes to be.
func TestModes(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	for _, flags := range [][]string{
		{"--userns", "flat"}, {"--userns", "root"}, {"--userns", "host-uid"}, {"--user", "1000:1000"}, {"--init=false"}, {"--network", "none"},
	} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			wantLines(t, b.of(t).lines(append(append([]string{"--gpus", "all"}, flags...), ref, "copy", "1")...), "devices 1", "ok")
		})
	}
}

// TestCapabilities: a job is given the parts of the driver that it names.
func TestCapabilities(t *testing.T) {
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	const find = "find / -xdev -name '*nvidia*' -o -xdev -name 'lib*cuda*'; ls /usr/bin /usr/lib/*"
	for capabilities, want := range map[string]struct{ with, without []string }{
		"":                {with: []string{"libcuda.so.1", "nvidia-smi", "libnvidia-ml.so.1"}, without: []string{"libnvidia-encode.so.1"}},
		"utility":         {with: []string{"nvidia-smi", "libnvidia-ml.so.1"}, without: []string{"libcuda.so.1"}},
		"compute":         {with: []string{"libcuda.so.1", "libnvidia-ptxjitcompiler.so.1"}, without: []string{"nvidia-smi", "libnvidia-encode.so.1"}},
		"compute,video":   {with: []string{"libcuda.so.1", "libnvidia-encode.so.1"}, without: []string{"nvidia-smi"}},
		"utility,compute": {with: []string{"libcuda.so.1", "nvidia-smi"}},
	} {
		t.Run("="+capabilities, func(t *testing.T) {
			args := []string{"--gpus", "all"}
			if capabilities != "" {
				args = append(args, "-e", "NVIDIA_DRIVER_CAPABILITIES="+capabilities)
			}
			got := b.of(t).lines(append(args, ref, "sh", "-c", find)...)
			wantLines(t, got, want.with...)
			for _, name := range want.without {
				if slices.Contains(got, name) {
					t.Errorf("the job was given %s", name)
				}
			}
		})
	}
}

// hostLibraries are the options by which a job has the host's libraries. /usr/bin stays the image's: where the driver is in a folder of
// its own, the host's has no place for the driver's programs, and in a read-only volume none can be made.
func hostLibraries() (args []string) {
	for _, dir := range []string{"/usr/lib", "/usr/lib64", "/usr/local"} {
		if st, err := os.Lstat(dir); err == nil && st.IsDir() {
			args = append(args, "-v", dir+":"+dir+":ro")
		}
	}
	return args
}

// TestHostLibraries: with the host's libraries mounted over the image's, read-only, what is built for them uses the GPUs inside.
func TestHostLibraries(t *testing.T) {
	need.GPUHelper(t)
	program := driver(t).Path("copy")
	for _, place := range []gpu.Place{gpu.Usual, gpu.Folder} {
		t.Run(string(place), func(t *testing.T) {
			b, ref := debian(t, gpu.Setup{Place: place, GPUs: 1})
			args := append(append([]string{"--gpus", "all"}, hostLibraries()...), "-v", program+":/copy:ro", ref)
			wantLines(t, b.lines(append(args, "/copy", "1")...), "devices 1", "same yes", "ok")
			wantLines(t, b.lines(append(args, "nvidia-smi")...), "GPU 0")
		})
	}
}
