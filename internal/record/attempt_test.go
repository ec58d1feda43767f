package record

import (
	"encoding/json"
	"testing"
	"time"
)

func TestManyAttempts(t *testing.T) {
	var r Result
	for i := range 250 {
		r.AddAttempt(Attempt{ExitCode: i % 200, Started: time.Unix(int64(i), 0)})
	}
	if len(r.Attempts) != 100 || r.Restarts != 249 {
		t.Fatalf("%d attempts, %d restarts", len(r.Attempts), r.Restarts)
	}
	for i, want := range map[int]int64{0: 0, 19: 19, 20: 170, 99: 249} {
		if got := r.Attempts[i].Started.Unix(); got != want {
			t.Errorf("attempt %d is the one of %d, want %d", i, got, want)
		}
	}
}

// TestInclude: counters add up, of peaks the greatest counts, and what one attempt did not know is the other's.
func TestInclude(t *testing.T) {
	number, whole := func(v float64) *float64 { return &v }, func(v int64) *int64 { return &v }
	before := Result{
		Totals:  Totals{CPUSeconds: 2, ReadBytes: whole(100), GPUEnergyJoules: number(5)},
		Peaks:   Peaks{MemoryBytes: 50, SwapBytes: whole(7), CPUCores: number(1.5)},
		Sources: map[string]string{"totals.cpu_seconds": "rusage", "totals.read_bytes": "proc"},
		GPUUse: map[string]GPUUse{"0": {
			Utilization: &Extent{Mean: 0.2, Max: 0.9}, MemoryBytes: whole(10), EnergyJoules: number(5), Seconds: 30,
			Throttled: map[string]float64{"sw_power_cap": 1}, Lost: "it fell off the bus",
		}},
	}
	r := Result{
		Totals:  Totals{CPUSeconds: 1, ReadBytes: whole(11), WriteBytes: whole(3)},
		Peaks:   Peaks{MemoryBytes: 40, CPUCores: number(2)},
		Sources: map[string]string{"totals.cpu_seconds": "proc"},
		GPUUse: map[string]GPUUse{"0": {
			Utilization: &Extent{Mean: 0.6, Max: 0.7}, MemoryBytes: whole(20), EnergyJoules: number(2), Seconds: 10,
			Throttled: map[string]float64{"sw_power_cap": 2, "hw_slowdown": 1},
		}},
	}
	r.Include(before)
	got, err := json.Marshal([]any{r.Totals, r.Peaks, r.Sources, r.GPUUse})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"cpu_seconds":3,"user_seconds":0,"system_seconds":0,"read_bytes":111,"write_bytes":3,"gpu_energy_joules":5},` +
		`{"memory_bytes":50,"swap_bytes":7,"cpu_cores":2},{"totals.cpu_seconds":"proc","totals.read_bytes":"proc"},` +
		`{"0":{"utilization":{"mean":0.3,"max":0.9},"memory_bytes":20,"energy_joules":7,"throttled_seconds":{"hw_slowdown":1,"sw_power_cap":3},"measured_seconds":40,"lost":"it fell off the bus"}}]`
	if string(got) != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if *before.Totals.ReadBytes != 100 || before.GPUUse["0"].Seconds != 30 {
		t.Error("what was before is changed")
	}
	r.Include(Result{}) // of nothing
	if *r.Totals.ReadBytes != 111 || len(r.GPUUse) != 1 {
		t.Errorf("%+v", r)
	}
}
