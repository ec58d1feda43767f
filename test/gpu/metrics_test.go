package gpu_test

import (
	"bufio"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/gpu"
)

// extent is a number of the record.
type extent struct{ Mean, Max float64 }

// use is what the record has of one GPU.
type use struct {
	Utilization *extent            `json:"utilization"`
	Power       *extent            `json:"power_watts"`
	Celsius     *extent            `json:"celsius"`
	Memory      int64              `json:"memory_bytes"`
	JobMemory   int64              `json:"job_memory_bytes"`
	Energy      float64            `json:"energy_joules"`
	Throttled   map[string]float64 `json:"throttled_seconds"`
	Missing     map[string]string
}

// TestMeasured: what the GPUs did while the job ran is in its record and on its page, and nothing of other devices.
func TestMeasured(t *testing.T) {
	t.Parallel() // it waits most of its time
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 2})
	say(t, b.m, "utilization 0 5", "utilization 1 93", "power 1 400000", "temperature 1 77", "throttle 1 4", "memory 1 0x100000000", "process 1 0x20000000")
	// copy holds the device for three seconds, in which it is a process of the GPU's.
	wantLines(t, b.lines("--gpus", "device=1", ref, "copy", "1", "3"), "devices 1", "ok")
	var record struct {
		GPUs []struct {
			Index        int
			UUID, Vendor string
			HostIndex    int `json:"host_index"`
		}
		Driver struct{ Version, CUDA, Root string } `json:"gpu_driver"`
		Use    map[string]use                       `json:"gpu_use"`
		Error  string                               `json:"gpu_error"`
	}
	b.last(&record)
	if len(record.GPUs) != 1 || record.GPUs[0].UUID != uuid1 || record.GPUs[0].HostIndex != 1 || record.GPUs[0].Index != 0 ||
		record.Driver.Version != gpu.Version || record.Driver.CUDA != "13.0" || record.Driver.Root != "" || record.Error != "" || len(record.Use) != 1 {
		t.Errorf("the record has %+v", record)
	}
	u := record.Use["0"]
	for name, n := range map[string]struct {
		got  *extent
		want float64
	}{"utilization": {u.Utilization, 0.93}, "power": {u.Power, 400}, "temperature": {u.Celsius, 77}} {
		if n.got == nil || math.Abs(n.got.Max-n.want) > 1e-6 || math.Abs(n.got.Mean-n.want) > 1e-6 {
			t.Errorf("%s is %+v, want %v", name, n.got, n.want)
		}
	}
	if u.Memory != 4<<30 || u.JobMemory != 512<<20 || u.Throttled["sw_power_cap"] <= 0 {
		t.Errorf("memory %d, of the job %d, throttled %v, missing %v", u.Memory, u.JobMemory, u.Throttled, u.Missing)
	}
	if u.Energy <= 0 {
		t.Errorf("energy %v J", u.Energy)
	}
	for name, page := range map[string]string{"text": b.ok("report", "last"), "html": b.html()} {
		for _, want := range []string{"GPU", "93"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page as %s has no %s", name, want)
			}
		}
	}
}

// html is the newest run's page for a browser.
func (b *box) html() string {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "page.html")
	b.ok("report", "--html", file, "last")
	raw, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

// TestOthersMemory: a process that is not the job's is not counted as its.
func TestOthersMemory(t *testing.T) {
	t.Parallel() // it waits most of its time
	need.GPUHelper(t)
	b, ref := debian(t, gpu.Setup{Place: gpu.Usual, GPUs: 1})
	other := b.m.Command("/", os.Environ(), driver(t).Path("copy"), "1", "1000")
	said, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(said); lines.Scan() && lines.Text() != "same yes"; {
	}
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() }) // it waits to be killed
	b.lines("--gpus", "all", ref, "sh", "-c", "sleep 3")
	var record struct {
		Use map[string]use `json:"gpu_use"`
	}
	b.last(&record)
	if u := record.Use["0"]; u.JobMemory != 0 || u.Memory == 0 {
		t.Errorf("a job that has not used the GPU: %+v", u)
	}
}
