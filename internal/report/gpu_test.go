package report

import (
	"math"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/record"
)

func TestGPUMeter(t *testing.T) {
	gib := func(n int64) *int64 { return ptr(n << 30) }
	card := record.GPU{Vendor: "nvidia", Name: "NVIDIA H100 80GB HBM3", UUID: "GPU-1", MemoryBytes: 80 << 30}
	slice := card
	slice.MIG, slice.UUID = "1g.10gb", "MIG-1"
	const noMIG = "not available on MIG devices"
	for _, c := range []struct {
		name  string
		g     GPU
		share float64
		want  string
	}{
		{"all is known", GPU{GPU: card, Use: record.GPUUse{
			Utilization: &record.Extent{Mean: 0.38, Max: 1}, MemoryBytes: gib(27), JobMemoryBytes: gib(26), PowerWatts: &record.Extent{Mean: 212, Max: 600},
			EnergyJoules: ptr(0.15 * 3.6e6), Throttled: map[string]float64{"sw_power_cap": 12, "hw_slowdown": 1}, Seconds: 100,
		}}, 0.38, "busy on average, 26624M of 81920M of memory at most, 212 W, 0.15 kWh, held back 12% of the time (sw power cap)"},
		{"others use it", GPU{GPU: card, Use: record.GPUUse{MemoryBytes: gib(40), JobMemoryBytes: gib(2), Seconds: 1}}, math.NaN(),
			"2048M of 81920M of memory at most (40960M with what others use)"},
		{"MIG", GPU{GPU: slice, Use: record.GPUUse{MemoryBytes: gib(3), Seconds: 1, Missing: map[string]string{
			"utilization": noMIG, "power_watts": noMIG, "energy_joules": noMIG, "celsius": noMIG, "job_memory_bytes": "no permission",
		}}}, math.NaN(), "3072M of 81920M of memory at most, the job's own memory n/a (no permission), utilization, power, energy n/a (not available on MIG devices)"},
		{"not measured", GPU{GPU: card}, math.NaN(), "not measured"},
		{"lost", GPU{GPU: card, Use: record.GPUUse{Lost: "GPU is lost"}}, math.NaN(), "lost: GPU is lost"},
		{"only the series knows it", GPU{Use: record.GPUUse{MemoryBytes: gib(1), Seconds: 1}}, math.NaN(), "1024M of memory at most"},
	} {
		var r Run
		m := r.gpuMeter(plainWords, &c.g)
		if m.Name != "GPU 0" || m.Text != c.want || m.Share != c.share && !(math.IsNaN(m.Share) && math.IsNaN(c.share)) {
			t.Errorf("%s: %+v, want %v %q", c.name, m, c.share, c.want)
		}
	}
}

func TestGPUsPart(t *testing.T) {
	var r Run
	if got := gpusPart(&r); got != "" {
		t.Errorf("of none: %q", got)
	}
	r.View.GPUs = []record.GPU{{Name: "H100"}, {Name: "H100", MIG: "1g.10gb"}, {Name: "H100"}}
	r.Driver = &record.GPUDriver{Version: "570.124.06", CUDA: "12.8"}
	if got := gpusPart(&r); got != "gpus 2 x H100, 1 x H100 MIG 1g.10gb, driver 570.124.06, CUDA 12.8" {
		t.Errorf("%q", got)
	}
}

func TestEnergy(t *testing.T) {
	for want, joules := range map[string]float64{"0 J": 0, "42 J": 42, "1.0 Wh": 3600, "99.9 Wh": 99.9 * 3600, "0.10 kWh": 3.6e5, "12.00 kWh": 12 * 3.6e6} {
		if got := Energy(joules); got != want {
			t.Errorf("%v is %q, want %q", joules, got, want)
		}
	}
}

// Devices are drawn in the order of their numbers, each where its numbers are known, and joined with what the record says of them.
func TestGPUSeries(t *testing.T) {
	v := record.View{Dir: dir(t, map[string]string{record.SystemFile: `{"schema":1,"sources":{}}
{"t":10,"samples":10,"gpus":[{"index":2,"utilization":[0.5,1]},{"index":10,"utilization":[0.25,1],"power_watts":[100,120],"energy_joules":5,"throttled_seconds":{"sw_power_cap":1}}]}
{"t":20,"samples":10,"gpus":[{"index":2,"utilization":[0.5,1]},{"index":10,"utilization":[0.75,1],"power_watts":[300,320],"energy_joules":50}]}
{"t":30,"samples":10,"gpus":"none"}
{"t":40,"samples":10,"gpus":[{"index":-1,"utilization":[0.5,1]}]}
{"t":50,"samples":10,"gpus":[{"index":1000000000,"utilization":[0.5,1]}]}
{"t":60,"samples":10,"gpus":[{"index":2,"utilization":[0.5]}]}
`})}
	v.GPUs = []record.GPU{{Index: 2, Name: "A"}, {Index: 3, Name: "B"}, {Index: 10, Name: "C"}}
	r, err := Read(v, 100, 0)
	if err != nil || r.Unread != 3 {
		t.Fatalf("%v, %d lines not read", err, r.Unread)
	}
	var got []string
	for _, c := range r.System {
		for _, l := range c.Lines {
			got = append(got, c.Title+" "+l.Name)
		}
	}
	if text := strings.Join(got, ", "); text != "GPU utilization GPU 2, GPU utilization GPU 10, GPU power GPU 10" {
		t.Errorf("drawn: %s", text)
	}
	for _, c := range charts([]Run{r}, plainWords) {
		for _, l := range c.Lines {
			if l.Name != gpuName(l.Kind) {
				t.Errorf("%s in %s has the colour of %d", l.Name, c.Title, l.Kind)
			}
		}
	}
	if len(r.GPUs) != 3 || r.GPUs[1].Name != "B" || r.GPUs[1].Use.Seconds != 0 || r.GPUs[2].Use.Utilization.Mean != 0.5 || r.GPUs[2].Now["power_watts"] != 300 || r.GPUs[2].Now["energy_joules"] != 50 {
		t.Errorf("%+v", r.GPUs)
	}
	v.GPUUse = map[string]record.GPUUse{"10": {Seconds: 99}}
	if r, err = Read(v, 100, 0); err != nil || r.GPUs[2].Use.Seconds != 99 || r.GPUs[2].Use.Utilization != nil {
		t.Errorf("the result counts: %+v, %v", r.GPUs, err)
	}
}
