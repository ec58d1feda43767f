package metrics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// driver is a watcher whose answers a test gives one by one.
type driver struct {
	answers chan []gpu.Reading // closed: it fails
	asked   chan struct{}
	hang    chan struct{} // nil, or: calls and Close hang until it is closed, whatever their context says
	closed  chan struct{}
}

var errCrashed = errors.New("it ended before it answered")

func (d *driver) Watch(ctx context.Context, _ []string) ([]gpu.Reading, error) {
	d.asked <- struct{}{}
	if d.hang != nil {
		<-d.hang
		return nil, nil
	}
	select {
	case list, ok := <-d.answers:
		if !ok {
			return nil, errCrashed
		}
		return list, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *driver) Close() error {
	if d.hang != nil {
		<-d.hang
	}
	close(d.closed)
	return nil
}

func newDriver() *driver {
	return &driver{answers: make(chan []gpu.Reading), asked: make(chan struct{}, 100), closed: make(chan struct{})}
}

// told gathers what a sampler says besides its samples.
type told struct {
	mu    sync.Mutex
	ended []error
	lost  []string
	said  chan struct{}
}

func (w *told) options(d *driver) GPUOptions {
	w.said = make(chan struct{}, 100)
	return GPUOptions{
		Watcher: d, From: FromNVML, UUIDs: []string{"GPU-a", "GPU-b"}, Indices: []int{2, 3}, Started: time.Now(),
		Ended: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ended = append(w.ended, err)
			w.said <- struct{}{}
		},
		Lost: func(index int, why string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lost = append(w.lost, fmt.Sprint(index, " ", why))
			w.said <- struct{}{}
		},
	}
}

// answered gives one answer to the question that was asked, and waits for the next one: the answer was taken then.
func (d *driver) answered(g *GPUs, list ...gpu.Reading) {
	d.answers <- list
	g.now <- make(chan struct{})
	<-d.asked
}

// openGPUs begins to watch; the first question has been asked.
func openGPUs(d *driver, w *told) *GPUs {
	g := OpenGPUs(w.options(d))
	<-d.asked
	return g
}

func sampled(t *testing.T, g *GPUs) []GPU {
	t.Helper()
	var s Sample
	if err := g.Sample(&s); err != nil {
		t.Fatal(err)
	}
	return s.GPUs
}

func TestGPUs(t *testing.T) {
	d, w := newDriver(), &told{}
	g := openGPUs(d, w)
	if list := sampled(t, g); list != nil {
		t.Errorf("before the first answer: %+v", list)
	}
	d.answered(g, gpu.Reading{UUID: "GPU-b", Utilization: new(0.5), EnergyJoules: new(1000.)})
	list := sampled(t, g)
	if len(list) != 1 || list[0].Index != 3 || list[0].Get(GPUUtilization) != 0.5 || list[0].Source(GPUUtilization) != FromNVML || !list[0].Has(GPUEnergy) || list[0].Get(GPUEnergy) != 0 || list[0].Has(GPUPower) {
		t.Errorf("%+v", list)
	}
	if list := sampled(t, g); list != nil {
		t.Errorf("one answer is of two samples: %+v", list)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	<-d.closed
	if len(w.ended)+len(w.lost) > 0 {
		t.Errorf("an end that was asked for is told: %v %v", w.ended, w.lost)
	}
}

// TestGPUsStale: what was read long ago is no sample of now.
func TestGPUsStale(t *testing.T) {
	d, w := newDriver(), &told{}
	g := openGPUs(d, w)
	d.answered(g, gpu.Reading{UUID: "GPU-a", Utilization: new(0.5)}, gpu.Reading{UUID: "GPU-b", Lost: "GPU is lost"})
	g.mu.Lock()
	for _, at := range g.devices {
		at.at = at.at.Add(-2 * gpuStale)
	}
	g.mu.Unlock()
	if list := sampled(t, g); len(list) != 1 || list[0].Lost == "" {
		t.Errorf("%+v", list)
	}
	_ = g.Close()
}

// TestGPUsLost: that is told once, and the others are measured on.
func TestGPUsLost(t *testing.T) {
	d, w := newDriver(), &told{}
	g := openGPUs(d, w)
	for range 2 {
		d.answered(g, gpu.Reading{UUID: "GPU-a", Lost: "GPU is lost"}, gpu.Reading{UUID: "GPU-b", PowerWatts: new(70.)})
	}
	<-w.said
	list := sampled(t, g)
	if len(list) != 2 || list[0].Lost != "GPU is lost" || list[1].Get(GPUPower) != 70 {
		t.Errorf("%+v", list)
	}
	d.answered(g, gpu.Reading{UUID: "GPU-b", PowerWatts: new(80.)})
	if list := sampled(t, g); len(list) != 1 || list[0].Index != 3 {
		t.Errorf("after it was lost: %+v", list)
	}
	_ = g.Close()
	if got := strings.Join(w.lost, "|"); got != "2 GPU is lost" || len(w.ended) > 0 {
		t.Errorf("told: %q, %v", got, w.ended)
	}
}

// TestGPUsCrash: a watcher that fails is given up, which is said once.
func TestGPUsCrash(t *testing.T) {
	d, w := newDriver(), &told{}
	g := OpenGPUs(w.options(d))
	close(d.answers)
	<-w.said
	<-g.done
	if list := sampled(t, g); list != nil {
		t.Errorf("%+v", list)
	}
	g.Ended() // does not wait for what will not come
	_ = g.Close()
	if len(w.ended) != 1 || !errors.Is(w.ended[0], errCrashed) {
		t.Errorf("told: %v", w.ended)
	}
}

// TestGPUsHang: one that keeps no deadline, not even its context's, holds up neither a sample nor the end.
func TestGPUsHang(t *testing.T) {
	d, w := newDriver(), &told{}
	d.hang = make(chan struct{})
	o := w.options(d)
	o.Patience = time.Millisecond
	g := OpenGPUs(o)
	<-w.said
	if list := sampled(t, g); list != nil {
		t.Errorf("%+v", list)
	}
	g.Ended()
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	close(d.hang)
	<-d.closed
	<-g.done
	if len(w.ended) != 1 || !errors.Is(w.ended[0], errSilent) {
		t.Errorf("told: %v", w.ended)
	}
}

// TestGPUsEnd: the last look is one at the job's end.
func TestGPUsEnd(t *testing.T) {
	d, w := newDriver(), &told{}
	g := openGPUs(d, w)
	d.answered(g, gpu.Reading{UUID: "GPU-a", EnergyJoules: new(1000.)})
	_ = sampled(t, g)
	m := &Monitor{stop: make(chan struct{}), opened: true, started: time.Now(), samplers: []Sampler{g}, watched: func() bool { return false }, write: func([]byte) error { return nil }}
	g.mu.Lock()
	for _, at := range g.devices {
		at.at = at.at.Add(-time.Second)
	}
	g.mu.Unlock()
	defer func(d time.Duration) { gpuEndPatience = d }(gpuEndPatience)
	gpuEndPatience = time.Minute
	go func() {
		for { // as often as it is asked
			select {
			case d.answers <- []gpu.Reading{{UUID: "GPU-a", EnergyJoules: new(1250.), Utilization: new(1.)}}:
			case <-d.closed:
				return
			}
		}
	}()
	summary, err := m.Stop()
	if err != nil {
		t.Fatal(err)
	}
	one := summary.GPUs[2]
	if one == nil || one.Last.Get(GPUEnergy) != 250 || one.Peaks.Has(GPUUtilization) {
		t.Errorf("%+v", one)
	}
}

func TestGPUPause(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: time.Second, 10 * time.Millisecond: 990 * time.Millisecond, 100 * time.Millisecond: 2 * time.Second, time.Minute: slowest,
	} {
		if got := gpuPause(took); got != want {
			t.Errorf("after %s: %s, want %s", took, got, want)
		}
	}
}

// looks are what a device is found to do, one look a second.
func looks(own func(int) bool, readings ...gpu.Reading) (list []GPU) {
	at := time.Unix(0, 0)
	d := &device{looked: at, throttled: map[string]float64{}}
	for _, r := range readings {
		at = at.Add(time.Second)
		list = append(list, d.read(&r, at, FromNVML, own))
	}
	return list
}

func TestDeviceEnergy(t *testing.T) {
	watts := func(v float64) gpu.Reading { return gpu.Reading{PowerWatts: &v} }
	joules := func(v float64) gpu.Reading { return gpu.Reading{EnergyJoules: &v, PowerWatts: new(999.)} }
	for name, c := range map[string]struct {
		readings []gpu.Reading
		want     float64
		from     Source
	}{
		"counted":                      {[]gpu.Reading{joules(5e9), joules(5e9 + 100), joules(5e9 + 250)}, 250, FromNVML},
		"counted, begun anew":          {[]gpu.Reading{joules(500), joules(600), joules(7), joules(10)}, 103, FromNVML},
		"drawn":                        {[]gpu.Reading{watts(100), watts(200), watts(200)}, 100 + 150 + 200, FromPower},
		"nobody knows":                 {[]gpu.Reading{{}, {}}, 0, ""},
		"drawn, with a gap in between": {[]gpu.Reading{watts(100), {}, watts(300)}, 100 + 300, FromPower},
	} {
		list := looks(nil, c.readings...)
		g := list[len(list)-1]
		if g.Get(GPUEnergy) != c.want || g.Source(GPUEnergy) != c.from {
			t.Errorf("%s: %v from %q, want %v from %q", name, g.Get(GPUEnergy), g.Source(GPUEnergy), c.want, c.from)
		}
	}
}

// TestDeviceAbsent: what is not measured is not there, and why is.
func TestDeviceAbsent(t *testing.T) {
	mig := gpu.Reading{
		MemoryUsedBytes: new(5e9), Missing: map[string]string{"utilization": "not available on MIG devices", "memory_used_bytes": "", "processes": "no permission", "throttled": "unknown"},
		MemoryUtilization: new(1.5), PowerWatts: new(-1.), Throttled: []string{"sw_power_cap"},
	}
	g := looks(func(int) bool { return true }, mig)[0]
	if g.Has(GPUUtilization) || g.Has(GPUMemoryUtilization) || g.Has(GPUPower) || g.Has(GPUEnergy) || g.Has(GPUJobMemory) || g.Throttled != nil || g.Get(GPUMemory) != 5e9 {
		t.Errorf("%+v", g)
	}
	for name, want := range map[string]string{
		"utilization": "not available on MIG devices", "job_memory_bytes": "no permission", "throttled_seconds": "unknown",
		"memory_utilization": "what cannot be", "power_watts": "what cannot be", "memory_bytes": "does not say why",
	} {
		if !strings.Contains(g.Missing[name], want) {
			t.Errorf("%s: %q, want %q", name, g.Missing[name], want)
		}
	}
}

func TestDeviceThrottled(t *testing.T) {
	held := func(reasons ...string) gpu.Reading { return gpu.Reading{Throttled: reasons} }
	many := []string{"Bad\"Name\n", ""}
	for i := range 100 {
		many = append(many, fmt.Sprintf("reason_%d", i))
	}
	list := looks(nil, held("sw_power_cap"), held(), held("sw_power_cap", "hw_slowdown"), held(many...))
	if got := list[2].Throttled; got["sw_power_cap"] != 2 || got["hw_slowdown"] != 1 || len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := list[3].Throttled; len(got) != mostReasons || len(list[2].Throttled) != 2 {
		t.Errorf("%v", got)
	}
	if none := looks(nil, held())[0].Throttled; none == nil || len(none) != 0 {
		t.Errorf("not held down is not the same as not known: %v", none)
	}
}

func TestDeviceOwnMemory(t *testing.T) {
	processes := []gpu.Process{{PID: 10, MemoryBytes: 1 << 30}, {PID: 11, MemoryBytes: 2 << 30}, {PID: 12, MemoryBytes: 4 << 30}}
	own := func(pids ...int) func(int) bool {
		return func(pid int) bool {
			for _, p := range pids {
				if p == pid {
					return true
				}
			}
			return false
		}
	}
	for _, c := range []struct {
		name      string
		own       func(int) bool
		processes []gpu.Process
		want      float64
		missing   bool
	}{
		{"two of three", own(10, 12), processes, 5 << 30, false},
		{"none of three", own(99), processes, 0, false},
		{"nobody there", own(10), nil, 0, false},
		{"it is not known whose", nil, processes, 0, true},
		{"it is not known how much", own(10, 13), append(processes, gpu.Process{PID: 13}), 0, true},
		{"it is not known how much others have", own(10), append(processes, gpu.Process{PID: 13}), 1 << 30, false},
	} {
		g := looks(c.own, gpu.Reading{Processes: c.processes})[0]
		if g.Get(GPUJobMemory) != c.want || g.Has(GPUJobMemory) == c.missing || (g.Missing["job_memory_bytes"] != "") != c.missing {
			t.Errorf("%s: %+v", c.name, g)
		}
	}
}

// TestOwner: this process is in a namespace of which its own /proc tells.
func TestOwner(t *testing.T) {
	proc, err := openDirectory("/proc")
	if err != nil {
		t.Fatal(err)
	}
	tree := &Tree{proc: proc, first: os.Getpid()}
	defer tree.Close()
	own, err := tree.Owner()
	if err != nil {
		t.Fatal(err)
	}
	if !own(os.Getpid()) || own(1<<30) {
		t.Errorf("this process is the job's: %v; one that is not there: %v", own(os.Getpid()), own(1<<30))
	}
}
