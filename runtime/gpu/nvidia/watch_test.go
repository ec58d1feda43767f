package nvidia

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxh100"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/server"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// busy makes a GPU one that works.
func busy(d *server.Device) {
	d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) {
		return nvml.Utilization{Gpu: 97, Memory: 41}, nvml.SUCCESS
	}
	d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 412_500, nvml.SUCCESS }
	d.GetTotalEnergyConsumptionFunc = func() (uint64, nvml.Return) { return 7_000_500, nvml.SUCCESS }
	d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 66, nvml.SUCCESS }
	d.GetCurrentClocksEventReasonsFunc = func() (uint64, nvml.Return) {
		return nvml.ClocksEventReasonGpuIdle | nvml.ClocksEventReasonSwPowerCap | nvml.ClocksThrottleReasonHwThermalSlowdown, nvml.SUCCESS
	}
	d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{Pid: 20, UsedGpuMemory: 5 << 20}, {Pid: 10, UsedGpuMemory: notAvailable}}, nvml.SUCCESS
	}
	d.GetGraphicsRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{Pid: 20, UsedGpuMemory: 4 << 20}}, nvml.SUCCESS
	}
	d.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) { return nvml.GpmSupport{}, nvml.SUCCESS }
}

// readings asks once in a session of its own.
func (m *machine) readings(uuids ...string) []gpu.Reading {
	m.t.Helper()
	r := serve(m.t, m.options(), m.line(gpu.Watch, uuids...))[0]
	if r.Failure != nil {
		m.t.Fatalf("watch: %+v", r.Failure)
	}
	return r.Readings
}

func TestWatch(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	busy(m.gpu(0))
	r := m.readings(m.gpu(0).UUID)[0]
	got := []float64{*r.Utilization, *r.MemoryUtilization, *r.MemoryUsedBytes, *r.PowerWatts, *r.EnergyJoules, *r.Celsius}
	if want := []float64{0.97, 0.41, 3 << 30, 412.5, 7000.5, 66}; !slices.Equal(got, want) {
		t.Errorf("numbers: %v, want %v", got, want)
	}
	if want := []string{"sw_power_cap", "hw_thermal_slowdown"}; !slices.Equal(r.Throttled, want) {
		t.Errorf("throttled: %v", r.Throttled)
	}
	if want := []gpu.Process{{PID: 10}, {PID: 20, MemoryBytes: 5 << 20}}; !slices.Equal(r.Processes, want) {
		t.Errorf("processes: %+v", r.Processes)
	}
	if want := []string{"dram_active", "sm_active", "tensor_active"}; !slices.Equal(slices.Sorted(maps.Keys(r.Missing)), want) || r.Lost != "" {
		t.Errorf("missing: %v, lost: %q", r.Missing, r.Lost)
	}
}

// TestWatchMissing has a driver that lacks functions, and GPUs that lack numbers.
func TestWatchMissing(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	busy(m.gpu(0))
	m.server.LookupSymbolFunc = func(symbol string) error {
		if strings.Contains(symbol, "Energy") || strings.Contains(symbol, "ClocksEvent") || strings.Contains(symbol, "Gpm") || strings.HasSuffix(symbol, "MemoryInfo_v2") {
			return errNotThere
		}
		return nil
	}
	m.gpu(0).GetCurrentClocksThrottleReasonsFunc = func() (uint64, nvml.Return) { return nvml.ClocksThrottleReasonHwSlowdown, nvml.SUCCESS }
	m.gpu(0).GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED }
	m.gpu(0).GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_NO_PERMISSION }
	m.gpu(0).MemoryInfo.Used = 12345
	r := m.readings(m.gpu(0).UUID)[0]
	want := map[string]string{
		"energy_joules": "not known to this driver", "power_watts": "not supported by this device", "celsius": "not permitted",
		"sm_active": "not known to this driver", "tensor_active": "not known to this driver", "dram_active": "not known to this driver",
	}
	if !maps.Equal(r.Missing, want) {
		t.Errorf("missing: %v", r.Missing)
	}
	if *r.MemoryUsedBytes != 12345 || !slices.Equal(r.Throttled, []string{"hw_slowdown"}) || r.PowerWatts != nil {
		t.Errorf("a reading: %+v", r)
	}
}

var errNotThere = errors.New("no such symbol")

// TestWatchMIG takes numbers of a MIG device where there are some, and never 0 where there are none.
func TestWatchMIG(t *testing.T) {
	m := newMachine(t, dgxh100.New())
	m.split(2, [2]int{7, 0})
	m.gpu(2).GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) { return nvml.GpmSupport{}, nvml.ERROR_NOT_SUPPORTED }
	r := m.readings(migUUID(2, 0))[0]
	if r.Utilization != nil || r.PowerWatts != nil || r.EnergyJoules != nil || r.Celsius != nil || r.SMActive != nil {
		t.Errorf("numbers that there cannot be: %+v", r)
	}
	for _, name := range []string{"utilization", "memory_utilization", "power_watts", "energy_joules", "celsius", "throttled"} {
		if r.Missing[name] != "not available on MIG devices" {
			t.Errorf("%s is missing because %q", name, r.Missing[name])
		}
	}
	if *r.MemoryUsedBytes != 1<<30 || !reflect.DeepEqual(r.Processes, []gpu.Process{{PID: 4711, MemoryBytes: 1 << 20}}) {
		t.Errorf("a reading: %+v", r)
	}
}

// TestWatchLost has a GPU fall off the bus between two readings; the other goes on, and the lost one is asked nothing more.
func TestWatchLost(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	busy(m.gpu(0))
	busy(m.gpu(1))
	lost := false
	m.gpu(0).GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) {
		if lost {
			return nvml.Utilization{}, nvml.ERROR_GPU_IS_LOST
		}
		return nvml.Utilization{Gpu: 1}, nvml.SUCCESS
	}
	m.gpu(0).GetPowerUsageFunc = func() (uint32, nvml.Return) {
		if lost {
			t.Error("a lost GPU was asked further")
		}
		return 0, nvml.SUCCESS
	}
	s := newSession(m.options())
	defer s.close()
	line := m.line(gpu.Watch, m.gpu(0).UUID, m.gpu(1).UUID, "GPU-nobody")
	if r := s.answer([]byte(line)).Readings; r[0].Lost != "" || r[1].Lost != "" || r[2].Lost != "there is no such device" {
		t.Fatalf("the first readings: %+v", r)
	}
	lost = true
	r := s.answer([]byte(line)).Readings
	if !strings.Contains(r[0].Lost, "lost") || r[1].Lost != "" || *r[1].Utilization != 0.97 {
		t.Errorf("the second readings: %+v", r)
	}
	lost = false
	if r := s.answer([]byte(line)).Readings; r[0].Lost != "" {
		t.Errorf("after a reset: %+v", r[0])
	}
}

// counters is a GPU with performance counters.
type counters struct {
	taken   int
	freed   int
	gi      int
	percent float64
}

func (c *counters) sample() *mock.GpmSample {
	return &mock.GpmSample{FreeFunc: func() nvml.Return { c.freed++; return nvml.SUCCESS }}
}

func (c *counters) serve(s *server.Server, d *server.Device) {
	d.GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) {
		return nvml.GpmSupport{IsSupportedDevice: 1}, nvml.SUCCESS
	}
	d.GpmSampleGetFunc = func(nvml.GpmSample) nvml.Return { c.taken++; return nvml.SUCCESS }
	d.GpmMigSampleGetFunc = func(gi int, _ nvml.GpmSample) nvml.Return { c.taken++; c.gi = gi; return nvml.SUCCESS }
	s.GpmSampleAllocFunc = func() (nvml.GpmSample, nvml.Return) { return c.sample(), nvml.SUCCESS }
	s.GpmMetricsGetFunc = func(q *nvml.GpmMetricsGetType) nvml.Return {
		if q.Sample1 == q.Sample2 || q.NumMetrics != 3 {
			return nvml.ERROR_INVALID_ARGUMENT
		}
		for i := range q.NumMetrics {
			q.Metrics[i].Value = c.percent + float64(i)
		}
		q.Metrics[1].NvmlReturn = uint32(nvml.ERROR_NOT_SUPPORTED)
		return nvml.SUCCESS
	}
}

// TestGPM reads counters between two readings, on a whole GPU and on a MIG device.
func TestGPM(t *testing.T) {
	for name, mig := range map[string]bool{"GPU": false, "MIG": true} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, dgxh100.New())
			c := &counters{percent: 50}
			c.serve(m.server, m.gpu(2))
			m.split(2, [2]int{7, 0})
			uuid := m.gpu(2).UUID
			if mig {
				uuid = migUUID(2, 0)
			}
			s := newSession(m.options())
			if err := s.open(m.root); err != nil {
				t.Fatal(err)
			}
			w, ret := s.find(uuid)
			if ret != nvml.SUCCESS {
				t.Fatal(ret)
			}
			w.gpm = s.newGPM(w)
			now := time.Unix(1000, 0)
			if _, why := w.gpm.read(now); why != needsSecond {
				t.Errorf("the first reading: %q", why)
			}
			if _, why := w.gpm.read(now.Add(gpmApart / 2)); !strings.Contains(why, "0.1 s") || c.taken != 1 {
				t.Errorf("too early: %q, %d samples", why, c.taken)
			}
			values, why := w.gpm.read(now.Add(gpmApart))
			if why != "" || *values[0] != 0.5 || values[1] != nil || *values[2] != 0.52 {
				t.Errorf("the second reading: %v, %q", values, why)
			}
			if mig && c.gi != 7 {
				t.Errorf("the sample is of instance %d", c.gi)
			}
			s.close()
			if c.freed != 2 {
				t.Errorf("%d samples were freed", c.freed)
			}
		})
	}
}

// TestReadingsAreJSON holds the names that a missing number goes by to those of the fields.
func TestReadingsAreJSON(t *testing.T) {
	m := newMachine(t, dgxh100.New())
	m.split(2, [2]int{7, 0})
	m.gpu(2).GpmQueryDeviceSupportFunc = func() (nvml.GpmSupport, nvml.Return) { return nvml.GpmSupport{}, nvml.SUCCESS }
	fields := map[string]bool{}
	for field := range reflect.TypeFor[gpu.Reading]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = true
	}
	r := m.readings(migUUID(2, 0))[0]
	for name := range r.Missing {
		if !fields[name] {
			t.Errorf("%s is missing, which is no field", name)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}
