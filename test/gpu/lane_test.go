package gpu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/gpu"
	fake "github.com/coracle-run/coracle/test/gpu"
)

// TestLane is the tests on real GPUs: `make test-gpu`. It uses nothing but the folder that `make gpu-lane` fills, and whatever the
// machine is: what it lacks skips by name, and what it is stands in the output. Its first part, the helper, runs wherever a GPU
// opens; the second, the container, where there are user namespaces and overlay mounts, too.
func TestLane(t *testing.T) {
	need.GPU(t)
	l := &lane{folder: os.Getenv(fake.LaneEnv)}
	if l.folder == "" {
		need.Missing(t, "gpu-lane", fake.LaneEnv+" is not set; `make test-gpu` sets it")
	}
	l.describe(t)
	t.Run("helper", l.helper)
	t.Run("container", l.container)
}

// runLane runs the lane as who calls it and, when that is root, again as an ordinary user, whom Coracle is for.
func runLane(m *testing.M) int {
	status := m.Run()
	if os.Getuid() != 0 {
		return status
	}
	again, err := laneAsOrdinary()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: the lane as an ordinary user:", err)
		return 1
	}
	return max(status, again)
}

// ordinary is the number of a user whom the machine need not know.
const ordinary = 47114

func laneAsOrdinary() (status int, err error) {
	dir, err := os.MkdirTemp("", "lane-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	folder, home := filepath.Join(dir, "folder"), filepath.Join(dir, "home")
	if err := errors.Join(os.Chmod(dir, 0o755), os.CopyFS(folder, os.DirFS(os.Getenv(fake.LaneEnv))), os.Mkdir(home, 0o700), os.Chown(home, ordinary, ordinary)); err != nil {
		return 0, err
	}
	cmd := exec.Command(filepath.Join(folder, "run"), os.Args[1:]...)
	cmd.Env = []string{"HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: ordinary, Gid: ordinary}, Pdeathsig: syscall.SIGKILL}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

type lane struct {
	folder    string
	libraries string // of the driver, once the helper has said it
	gpus      int    // that can be used
}

func (l *lane) path(name string) string { return filepath.Join(l.folder, name) }

// describe records what machine this is.
func (l *lane) describe(t *testing.T) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	t.Logf("kernel %s %s, uid %d", unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Version[:]), os.Getuid())
	for _, file := range []string{"/proc/version", "/proc/driver/nvidia/version", "/etc/os-release"} {
		raw, err := os.ReadFile(file)
		first, _, _ := strings.Cut(string(raw), "\n")
		t.Logf("%s: %s %v", file, first, err)
	}
	nodes, _ := filepath.Glob("/dev/nvidia*")
	t.Logf("nodes %q", nodes)
}

// helper asks coracle-nvidia as Coracle does, and then computes without any container.
func (l *lane) helper(t *testing.T) {
	ctx := context.Background()
	began := time.Now()
	h, err := gpu.Open(ctx, gpu.Place{Helper: l.path("coracle-nvidia")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	inventory, err := h.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("list took %v: %s", time.Since(began).Round(time.Millisecond), told(inventory))
	l.libraries = inventory.Libraries
	uuids := l.usable(t, inventory)
	t.Run("spec", func(t *testing.T) { l.spec(ctx, t, h, uuids) })
	t.Run("sample", func(t *testing.T) { l.sample(ctx, t, h, uuids) })
	t.Run("copy", func(t *testing.T) {
		cmd := exec.Command(l.path("copy"), "64")
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+l.libraries)
		out, err := cmd.CombinedOutput()
		l.copied(t, string(out), err)
	})
	for _, w := range h.Warnings() {
		t.Logf("warning: %s", w)
	}
}

func told(v any) string {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

var version = regexp.MustCompile(`^[0-9]+\.[0-9.]+$`)

// usable are the UUIDs of what a job could have, in the order of the list.
func (l *lane) usable(t *testing.T, inventory gpu.Inventory) (uuids []string) {
	t.Helper()
	if !version.MatchString(inventory.Driver) || !version.MatchString(inventory.CUDA) {
		t.Errorf("driver %q, CUDA %q", inventory.Driver, inventory.CUDA)
	}
	for _, d := range inventory.GPUs {
		switch {
		case d.Unusable != "":
		case d.MIG:
			for _, instance := range d.Instances {
				if instance.Unusable == "" {
					uuids = append(uuids, instance.UUID)
				}
			}
		default:
			uuids = append(uuids, d.UUID)
			if d.Name == "" || d.MemoryBytes == 0 {
				t.Errorf("a GPU without a name or memory: %+v", d)
			}
		}
	}
	if len(uuids) == 0 {
		t.Fatal("no GPU can be used, and the control node opens")
	}
	l.gpus = len(uuids)
	return uuids
}

func (l *lane) spec(ctx context.Context, t *testing.T, h *gpu.Helper, uuids []string) {
	raw, err := h.Spec(ctx, gpu.SpecRequest{UUIDs: uuids, Capabilities: []string{"utility", "compute"}, CUDACompat: gpu.CompatAuto})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", raw)
	for _, want := range []string{`"/dev/nvidiactl"`, "/libcuda.so.", "/libnvidia-ml.so."} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the specification has no %s", want)
		}
	}
}

// sample asks three times: what counts between two readings (GPM) is there from the second on.
func (l *lane) sample(ctx context.Context, t *testing.T, h *gpu.Helper, uuids []string) {
	for range 3 {
		began := time.Now()
		readings, err := h.Watch(ctx, uuids)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("sample took %v: %s", time.Since(began).Round(time.Microsecond), told(readings))
		if len(readings) != len(uuids) {
			t.Fatalf("%d readings of %d devices", len(readings), len(uuids))
		}
		for i, r := range readings {
			checkReading(t, uuids[i], r)
		}
	}
}

// checkReading: each number is there and can be one, or it is said why it is not.
func checkReading(t *testing.T, uuid string, r gpu.Reading) {
	t.Helper()
	if r.UUID != uuid || r.Lost != "" {
		t.Errorf("%s: the reading is one of %q, lost: %q", uuid, r.UUID, r.Lost)
	}
	for field, n := range map[string]struct {
		value *float64
		most  float64
	}{
		"utilization": {r.Utilization, 1}, "memory_used_bytes": {r.MemoryUsedBytes, 1 << 50}, "power_watts": {r.PowerWatts, 1e4},
		"energy_joules": {r.EnergyJoules, 1e15}, "celsius": {r.Celsius, 150}, "sm_active": {r.SMActive, 1.01},
	} {
		if n.value == nil && r.Missing[field] == "" {
			t.Errorf("%s: no %s, and no reason", uuid, field)
		}
		if n.value != nil && (*n.value < 0 || *n.value > n.most) {
			t.Errorf("%s: %s is %v", uuid, field, *n.value)
		}
	}
}

// copied looks at what the program copy has said.
func (l *lane) copied(t *testing.T, out string, err error) {
	t.Helper()
	t.Logf("%s", out)
	if err != nil || !strings.Contains("\n"+out, "\nsame yes\n") || !strings.HasSuffix(strings.TrimSpace(out), "\nok") {
		t.Errorf("memory was not copied on the device: %v", err)
	}
	if want := fmt.Sprintf("\ndevices %d\n", l.gpus); l.gpus > 0 && !strings.Contains("\n"+out, want) {
		t.Logf("CUDA does not see the %d devices of the list: with instances (MIG) it uses one", l.gpus)
	}
}
