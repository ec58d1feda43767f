package metrics

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

const loadEnv = "CORACLE_TEST_LOAD"

// TestMain is also the known load that the tests measure.
func TestMain(m *testing.M) {
	if os.Getenv(loadEnv) != "" {
		load()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const loadBytes = 64 << 20

// load waits for its turn, then uses memory and CPU time, says how many nanoseconds of that and bytes in its turn, and waits again.
func load() {
	turn := make([]byte, 1)
	fmt.Println("ready")
	_, _ = os.Stdin.Read(turn)
	begun, had := loadTime(), anonymous()
	memory := bytes.Repeat([]byte{1}, loadBytes)
	for sum := 0; loadTime()-begun < 500*time.Millisecond; sum++ {
		for i := range memory {
			memory[i] += byte(sum)
		}
	}
	fmt.Println(int64(loadTime()-begun), anonymous()-had, memory[0])
	_, _ = os.Stdin.Read(turn)
}

// anonymous is how much memory this process has that is of no file; under the race detector that is more than it asked for.
func anonymous() (size int64) {
	text, _ := os.ReadFile("/proc/self/status")
	_, field, _ := strings.Cut(string(text), "\nRssAnon:")
	_, _ = fmt.Sscan(field, &size)
	return size << 10
}

func loadTime() time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return time.Hour
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// cgroups makes a cgroup of its own, in version 2 where that is all there is.
func cgroups(t *testing.T) (g Cgroup, join []string) {
	t.Helper()
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "making cgroups takes root here")
	}
	const top = "/sys/fs/cgroup"
	name := "coracle-test-" + strconv.Itoa(os.Getpid())
	add := func(parent string) string {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			need.Missing(t, "cgroup", err.Error())
		}
		t.Cleanup(func() {
			if err := unix.Rmdir(dir); err != nil {
				t.Errorf("removing %s: %v", dir, err)
			}
		})
		join = append(join, filepath.Join(dir, "cgroup.procs"))
		return dir
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(top, &fs); err != nil {
		need.Missing(t, "cgroup", err.Error())
	}
	if fs.Type == unix.CGROUP2_SUPER_MAGIC {
		g.Unified = add(top)
		return g, join
	}
	g.V1 = map[string]string{}
	for _, controller := range []string{"cpu", "cpuacct", "memory", "blkio", "pids"} {
		if _, err := os.Stat(filepath.Join(top, controller)); err == nil {
			g.V1[controller] = add(filepath.Join(top, controller))
		}
	}
	return g, join
}

// TestCgroup holds what a cgroup says of a known load against what the load itself was told by the kernel.
func TestCgroup(t *testing.T) {
	g, join := cgroups(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{loadEnv + "=1"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready string // what it takes to start is over
	if _, err := fmt.Fscan(out, &ready); err != nil {
		t.Fatal(err)
	}
	for _, file := range join {
		if err := os.WriteFile(file, []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	sampler, err := g.Open()
	if err != nil {
		t.Fatal(err)
	}
	before := take(t, sampler)
	_, _ = in.Write([]byte{1})
	var used, grown int64 // in its turn
	if _, err := fmt.Fscan(out, &used, &grown, new(int)); err != nil || grown < loadBytes*9/10 {
		t.Fatal(grown, err)
	}
	during := take(t, sampler)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	after := take(t, sampler)
	if err := sampler.Close(); err != nil {
		t.Fatal(err)
	}
	near(t, "CPU", during.Get(CPUSeconds)-before.Get(CPUSeconds), time.Duration(used).Seconds())
	if after.Get(CPUSeconds) < during.Get(CPUSeconds) {
		t.Errorf("%v s of CPU, and when it has ended %v", during.Get(CPUSeconds), after.Get(CPUSeconds))
	}
	if g.V1["memory"] != "" || during.Has(MemoryBytes) {
		near(t, "memory", during.Get(AnonShmemBytes)-before.Get(AnonShmemBytes), float64(grown))
		if during.peak > 0 && during.peak < loadBytes {
			t.Errorf("a peak of %v", during.peak)
		}
	}
	if during.Has(Processes) && during.Get(Processes) < 1 {
		t.Errorf("%v processes", during.Get(Processes))
	}
	for f := range Fields() {
		if during.Has(f) && during.Source(f) != FromCgroup {
			t.Errorf("%v is from %q", f, during.Source(f))
		}
	}
	t.Logf("%s", strings.TrimSpace(string(head(during, nil))))
}

func take(t *testing.T, sampler Sampler) (s Sample) {
	t.Helper()
	if err := sampler.Sample(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// near allows 5 %.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 0.05*want {
		t.Errorf("%s: %v, and the kernel says %v", what, got, want)
	}
}
