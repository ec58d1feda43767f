package metrics

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// steady is a source of which every sample is known.
type steady struct {
	samples int
	closed  bool
	fail    error
}

func (f *steady) Sample(s *Sample) error {
	f.samples++
	n := float64(f.samples)
	s.Put(CPUSeconds, n, FromCgroup)
	s.Put(IOPressure, 1000+n, Host)
	s.Put(MemoryBytes, 1e6*min(n, 3), FromCgroup)
	g := GPU{Index: 1, Seconds: 1, Throttled: map[string]float64{"sw_power_cap": n}, Missing: map[string]string{"celsius": "none here"}}
	g.Put(GPUMemory, 1e9*n, FromNVML)
	g.Put(GPUPower, 100*n, FromNVML)
	g.Put(GPUEnergy, 7*n, FromPower)
	if f.samples != 2 {
		g.Put(GPUUtilization, 0.25*n, FromNVML)
	}
	s.GPUs = []GPU{g}
	return f.fail
}

func (f *steady) Close() error { f.closed = true; return nil }
func (f *steady) Lasts()       {}

// monitorOf has taken some samples, ten seconds apart.
func monitorOf(source Sampler, samples int) (*Monitor, *[]string) {
	var lines []string
	m := &Monitor{stop: make(chan struct{}), opened: true, watched: func() bool { return false }, samplers: []Sampler{source}, write: func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	}}
	for n := range samples {
		m.started = time.Now().Add(-time.Duration(n+1) * 10 * time.Second)
		m.sample(false)
	}
	return m, &lines
}

func TestMonitor(t *testing.T) {
	source := &steady{fail: errors.New("half of it is missing")}
	m, lines := monitorOf(source, 4)
	summary, err := m.Stop()
	if !source.closed || err == nil || strings.Count(err.Error(), "half") != 1 {
		t.Errorf("closed %v, %v", source.closed, err)
	}
	if summary.Last.Get(CPUSeconds) != 5 || summary.Last.Get(IOPressure) != 4 || summary.Last.Source(IOPressure) != Host {
		t.Errorf("the last sample is %+v", summary.Last)
	}
	if summary.Peaks.Get(MemoryBytes) != 3e6 || summary.Peaks.Source(MemoryBytes) != FromCgroup {
		t.Errorf("the peaks are %+v", summary.Peaks)
	}
	g := summary.GPUs[1]
	busy, known := g.Mean(GPUUtilization)
	watts, _ := g.Mean(GPUPower)
	if _, ok := g.Mean(GPUCelsius); ok || !known || busy != (0.25+0.75+1)/3 || watts != 250 || g.Peaks.Get(GPUMemory) != 4e9 || g.Last.Get(GPUEnergy) != 35 || g.Seconds != 4 || g.Missing["celsius"] == "" || len(g.Missing) != 1 || g.Last.Throttled["sw_power_cap"] != 5 {
		t.Errorf("the GPU's are %+v", g)
	}
	if len(*lines) != 6 { // where the numbers are from, four periods, and the end
		t.Fatalf("%d lines: %q", len(*lines), *lines)
	}
	var first struct {
		Schema  int
		Sources map[string]string
	}
	if err := json.Unmarshal([]byte((*lines)[0]), &first); err != nil || first.Schema != 1 || first.Sources["cpu_seconds"] != "cgroup" || first.Sources["pressure_io_seconds"] != "host" ||
		first.Sources["gpus.1"] != "nvml" || first.Sources["gpus.1.energy_joules"] != "power" {
		t.Errorf("%v, %+v", err, first)
	}
	var line struct {
		T, CPU float64
		Memory []float64 `json:"memory_bytes"`
		GPUs   []struct {
			Index  int
			Memory []float64          `json:"memory_bytes"`
			Energy float64            `json:"energy_joules"`
			Busy   []float64          `json:"utilization"`
			Held   map[string]float64 `json:"throttled_seconds"`
		}
	}
	if err := json.Unmarshal([]byte((*lines)[2]), &line); err != nil || line.T < 20 || line.Memory[1] != 2e6 || line.GPUs[0].Index != 1 || line.GPUs[0].Memory[0] != 2e9 || line.GPUs[0].Energy != 14 ||
		line.GPUs[0].Busy != nil || line.GPUs[0].Held["sw_power_cap"] != 2 {
		t.Errorf("%v, %+v of %s", err, line, (*lines)[2])
	}
}

// TestWatched: while somebody looks, each sample is a line.
func TestWatched(t *testing.T) {
	lines := 0
	m := &Monitor{stop: make(chan struct{}), opened: true, started: time.Now(), samplers: []Sampler{&steady{}}, write: func([]byte) error {
		lines++
		return nil
	}}
	for _, looks := range []bool{false, true, true, false} {
		m.watched = func() bool { return looks }
		m.sample(false)
	}
	if lines != 1+2 { // where the numbers are from, and two samples
		t.Errorf("%d lines", lines)
	}
}

func TestShortJobHasNoSeries(t *testing.T) {
	asked := make(chan bool, 1)
	m := Start(time.Now(), Sample{}, func(ended bool) ([]Sampler, error) {
		asked <- ended
		return nil, nil
	}, func([]byte) error {
		t.Error("a line was written")
		return nil
	}, func() bool { return false })
	if _, err := m.Stop(); err != nil {
		t.Error(err)
	}
	<-asked
}

func TestPeriods(t *testing.T) {
	lines := 0
	for at := time.Duration(0); at < 7*24*time.Hour; at += period(at) {
		lines++
	}
	if lines < 10_000 || lines > 12_000 {
		t.Errorf("a week has %d lines", lines)
	}
	var w window
	full := Sample{At: 7 * 24 * time.Hour}
	for f := range Fields() {
		full.Put(f, 123456789012, FromCgroup)
	}
	w.add(full)
	if n := len(w.line()); n*360 > 1<<20 {
		t.Errorf("a line has %d bytes, which is more than 1 MiB an hour", n)
	}
}

// A machine with eight GPUs that tell everything has a series of less than 1 MiB an hour, too.
func TestLineOfManyGPUs(t *testing.T) {
	s := Sample{At: 3599 * time.Second}
	for f := range Fields() {
		s.Put(f, 98765.432, FromCgroup)
	}
	values := map[GPUField]float64{GPUPower: 512.257, GPUCelsius: 61, GPUMemory: 85123456789, GPUJobMemory: 75123456789, GPUEnergy: 2345678}
	for i := range 8 {
		g := GPU{Index: i, Throttled: map[string]float64{"sw_power_cap": 1234.5}}
		for f := range GPUFields() {
			g.Put(f, 0.731, FromNVML)
			if v, ok := values[f]; ok {
				g.Put(f, v, FromNVML)
			}
		}
		s.GPUs = append(s.GPUs, g)
	}
	var w window
	w.add(s)
	const lines = 360
	if n := len(w.line()); n*lines > 1<<20 {
		t.Errorf("a line has %d bytes, which is %d an hour", n, n*lines)
	}
}

func TestAppendNumber(t *testing.T) {
	for want, v := range map[string]float64{"0": 0, "1.5": 1.5, "100": 100, "0.001": 0.0009, "1000000": 1e6 + 0.25, "10": 10} {
		if got := string(appendNumber(nil, v, 3)); got != want {
			t.Errorf("%v became %s, want %s", v, got, want)
		}
	}
}
