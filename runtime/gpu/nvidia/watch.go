package nvidia

import (
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// watched is a device that is asked again and again.
type watched struct {
	handle nvml.Device
	mig    bool
	parent nvml.Device // of a MIG device
	gi     int
	gpm    *gpm // nil: not looked for yet
}

func (w *watched) close() {
	if w.gpm != nil {
		w.gpm.close()
	}
}

// reasons a number is missing.
const (
	notOnMIG    = "not available on MIG devices"
	notKnown    = "not known to this driver"
	needsSecond = "needs a second reading"
)

// watch reads devices. One that is lost says so, and the others go on.
func (s *session) watch(uuids []string) []gpu.Reading {
	readings := make([]gpu.Reading, 0, len(uuids))
	for _, uuid := range uuids {
		w, ret := s.find(uuid)
		if ret != nvml.SUCCESS {
			readings = append(readings, gpu.Reading{UUID: uuid, Lost: plain(ret)})
			continue
		}
		reader := &reader{session: s, watched: w, reading: gpu.Reading{UUID: uuid}}
		reader.read()
		if reader.reading.Lost != "" {
			w.close()
			delete(s.watched, uuid) // it may come back, after a reset
		}
		readings = append(readings, reader.reading)
	}
	return readings
}

// find looks a device up once: its handle stays good as long as it does.
func (s *session) find(uuid string) (*watched, nvml.Return) {
	if w, there := s.watched[uuid]; there {
		return w, nvml.SUCCESS
	}
	w := &watched{}
	var ret nvml.Return
	if w.handle, ret = s.lib.DeviceGetHandleByUUID(uuid); ret != nvml.SUCCESS {
		return nil, ret
	}
	if w.mig, ret = w.handle.IsMigDeviceHandle(); ret != nvml.SUCCESS {
		return nil, ret
	}
	if w.mig {
		if w.parent, ret = w.handle.GetDeviceHandleFromMigDeviceHandle(); ret != nvml.SUCCESS {
			return nil, ret
		}
		if w.gi, ret = w.handle.GetGpuInstanceId(); ret != nvml.SUCCESS {
			return nil, ret
		}
	}
	s.watched[uuid] = w
	return w, nvml.SUCCESS
}

// reader reads one device once.
type reader struct {
	*session
	*watched
	reading gpu.Reading
}

// read asks for everything. A device that is found lost is asked no further: each question may take the driver seconds then.
func (r *reader) read() {
	for _, ask := range []func(){r.utilization, r.memoryUsed, r.power, r.energy, r.temperature, r.throttling, r.users, r.profiling} {
		if ask(); r.reading.Lost != "" {
			return
		}
	}
}

// missing notes why there is no number.
func (r *reader) missing(why string, names ...string) {
	if r.reading.Missing == nil {
		r.reading.Missing = map[string]string{}
	}
	for _, name := range names {
		r.reading.Missing[name] = why
	}
}

// can reports whether a number that whole GPUs alone have can be asked for, and notes why when it cannot.
func (r *reader) can(symbol string, names ...string) bool {
	switch {
	case r.mig:
		r.missing(notOnMIG, names...)
	case !r.has(symbol):
		r.missing(notKnown, names...)
	default:
		return true
	}
	return false
}

// answered reports whether the driver has given a number, and notes why when it has not.
func (r *reader) answered(ret nvml.Return, names ...string) bool {
	switch {
	case ret == nvml.SUCCESS:
		return true
	case isGone(ret):
		r.reading.Lost = plain(ret)
	default:
		r.missing(plain(ret), names...)
	}
	return false
}

func number[T uint32 | uint64](n T, unit float64) *float64 {
	value := float64(n) / unit
	return &value
}

func (r *reader) utilization() {
	names := []string{"utilization", "memory_utilization"}
	if !r.can("nvmlDeviceGetUtilizationRates", names...) {
		return
	}
	if u, ret := r.handle.GetUtilizationRates(); r.answered(ret, names...) {
		r.reading.Utilization, r.reading.MemoryUtilization = number(u.Gpu, 100), number(u.Memory, 100)
	}
}

// memoryUsed prefers the second version, which does not count what the driver keeps for itself.
func (r *reader) memoryUsed() {
	if r.has("nvmlDeviceGetMemoryInfo_v2") {
		if m, ret := r.handle.GetMemoryInfo_v2(); ret == nvml.SUCCESS {
			r.reading.MemoryUsedBytes = number(m.Used, 1)
			return
		}
	}
	if m, ret := r.handle.GetMemoryInfo(); r.answered(ret, "memory_used_bytes") {
		r.reading.MemoryUsedBytes = number(m.Used, 1)
	}
}

func (r *reader) power() {
	if !r.can("nvmlDeviceGetPowerUsage", "power_watts") {
		return
	}
	if milliwatts, ret := r.handle.GetPowerUsage(); r.answered(ret, "power_watts") {
		r.reading.PowerWatts = number(milliwatts, 1000)
	}
}

func (r *reader) energy() {
	if !r.can("nvmlDeviceGetTotalEnergyConsumption", "energy_joules") {
		return
	}
	if millijoules, ret := r.handle.GetTotalEnergyConsumption(); r.answered(ret, "energy_joules") {
		r.reading.EnergyJoules = number(millijoules, 1000)
	}
}

func (r *reader) temperature() {
	if !r.can("nvmlDeviceGetTemperature", "celsius") {
		return
	}
	if celsius, ret := r.handle.GetTemperature(nvml.TEMPERATURE_GPU); r.answered(ret, "celsius") {
		r.reading.Celsius = number(celsius, 1)
	}
}

// slowdowns are the reasons for lower clocks by their bit (nvml.h, nvmlClocksEventReasons), named as nvidia-smi does. Idleness, and
// clocks that somebody has asked for, are none.
var slowdowns = []struct {
	bit  uint64
	name string
}{
	{nvml.ClocksEventReasonSwPowerCap, "sw_power_cap"},
	{nvml.ClocksThrottleReasonHwSlowdown, "hw_slowdown"},
	{nvml.ClocksEventReasonSyncBoost, "sync_boost"},
	{nvml.ClocksEventReasonSwThermalSlowdown, "sw_thermal_slowdown"},
	{nvml.ClocksThrottleReasonHwThermalSlowdown, "hw_thermal_slowdown"},
	{nvml.ClocksThrottleReasonHwPowerBrakeSlowdown, "hw_power_brake_slowdown"},
	{nvml.ClocksEventReasonDisplayClockSetting, "display_clock_setting"},
	{nvml.ClocksEventReasonBoardLimit, "board_limit"},
	{nvml.ClocksEventReasonReliability, "reliability"},
}

func (r *reader) throttling() {
	ask := r.handle.GetCurrentClocksEventReasons
	symbol := "nvmlDeviceGetCurrentClocksEventReasons"
	if !r.has(symbol) { // before version 535
		ask, symbol = r.handle.GetCurrentClocksThrottleReasons, "nvmlDeviceGetCurrentClocksThrottleReasons"
	}
	if !r.can(symbol, "throttled") {
		return
	}
	bits, ret := ask()
	if !r.answered(ret, "throttled") {
		return
	}
	for _, s := range slowdowns {
		if bits&s.bit != 0 {
			r.reading.Throttled = append(r.reading.Throttled, s.name)
		}
	}
}

func (r *reader) users() {
	processes, ret := r.processes(r.handle)
	r.reading.Processes = processes
	if len(processes) == 0 {
		r.answered(ret, "processes")
	}
}

// profiling reads the counters of [gpm].
func (r *reader) profiling() {
	names := []string{"sm_active", "tensor_active", "dram_active"}
	if r.gpm == nil {
		r.gpm = r.newGPM(r.watched)
	}
	if r.gpm.why != "" {
		r.missing(r.gpm.why, names...)
		return
	}
	values, why := r.gpm.read(time.Now())
	if why != "" {
		r.missing(why, names...)
		return
	}
	for i, field := range []**float64{&r.reading.SMActive, &r.reading.TensorActive, &r.reading.DRAMActive} {
		if values[i] == nil {
			r.missing("not supported by this device", names[i])
			continue
		}
		*field = values[i]
	}
}
