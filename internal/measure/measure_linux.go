// Package measure measures one job from its start to its end, and puts what came of that into its record: by its control group where it has one
// of its own, else by its processes.
package measure

import (
	"errors"
	"math"
	"time"

	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
)

// seriesMost is how large a series in a record may become. One of a year of samples is not.
const seriesMost = 256 << 20

// Job is what is to be measured, and what is known of it.
type Job struct {
	Box      *container.Container
	NoInit   bool
	Network  bool                 // it has one of its own
	Cgroup   *metrics.Cgroup      // nil: it has none of its own
	Around   string               // the supervisor's own directory of the memory controller
	GPUs     []record.GPU         // that it has
	Watchers []metrics.GPUOptions // who tells what they do; each is closed by who watches, or with the run
	Started  time.Time            // its first start
	Before   metrics.Sample       // what its starts before this one came to
}

// Measurement is what is measured of a running job.
type Measurement struct {
	Job
	monitor *metrics.Monitor
	tree    *metrics.Tree // nil: not opened, as the next two
	shm     *metrics.Shm
	oom     *metrics.OOM
	shmSize float64
	gpus    *measuredGPUs // nil: it has none

	counted metrics.Sample // valid after Result
}

// Begin begins to measure a job that runs. The record gets its series, and what happens to what is measured; notice tells the user.
func Begin(job Job, into *record.Writer, notice func(string)) *Measurement {
	m := &Measurement{Job: job}
	m.gpus = measurableGPUs(job, into, notice)
	series := into.Series(record.SystemFile, seriesMost)
	m.monitor = metrics.Start(job.Started, job.Before, m.open, series.Write, into.Watched)
	return m
}

// open opens what can be measured. Of a job that has ended, that is its cgroup alone.
func (m *Measurement) open(ended bool) (samplers []metrics.Sampler, err error) {
	if !ended || m.Cgroup != nil {
		m.oom = metrics.OpenOOM(m.Cgroup, m.Around)
		samplers = append(samplers, m.oom)
	}
	if !ended {
		living, livingErr := m.openLiving()
		samplers, err = append(samplers, living...), livingErr
		samplers = append(samplers, m.gpus.open(m.tree, m.Box.Started)...)
	}
	if m.Cgroup != nil {
		g, groupErr := m.Cgroup.Open()
		err = errors.Join(err, groupErr)
		if groupErr == nil {
			samplers = append(samplers, g)
		}
	}
	return samplers, err
}

// openLiving opens what is there while a job runs.
func (m *Measurement) openLiving() (samplers []metrics.Sampler, err error) {
	if m.Cgroup == nil {
		if p := metrics.OpenHostPressure(); p != nil {
			samplers = append(samplers, p)
		}
	}
	view, err := m.Box.View()
	if err != nil {
		return samplers, m.unlessEnded(err)
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	shm, err := view.SharedMemory()
	if err != nil {
		return samplers, m.unlessEnded(err)
	}
	m.shm = metrics.OpenShm(shm)
	if _, m.shmSize, err = m.shm.Room(); err != nil {
		return samplers, err
	}
	samplers = append(samplers, m.shm)
	proc, err := view.Processes()
	if err != nil {
		return samplers, m.unlessEnded(err)
	}
	if m.tree, err = metrics.OpenTree(proc, m.Box.Init()); err != nil {
		return samplers, m.unlessEnded(err)
	}
	m.tree.NoInit, m.tree.IOOnly = m.NoInit, m.Cgroup != nil
	samplers = append(samplers, m.tree)
	if !m.Network {
		return samplers, nil
	}
	network, err := m.tree.Network()
	if err != nil {
		return samplers, m.unlessEnded(err)
	}
	return append(samplers, network), nil
}

// endPatience is how long a job's end may take to be heard of after it was seen.
const endPatience = 100 * time.Millisecond

// unlessEnded is the error, unless the job's end explains it.
func (m *Measurement) unlessEnded(err error) error {
	select {
	case <-m.Box.Ended():
		return nil
	case <-time.After(endPatience):
		return err
	}
}

// Count is what the job came to, with its starts before this one. It follows Result.
func (m *Measurement) Count() metrics.Sample { return m.counted.Carry(m.Before) }

// Result takes the last numbers and puts everything into a job's result. The job's last process has ended, and its cgroup is
// still there.
func (m *Measurement) Result(exit container.Exit, r *record.Result) error {
	summary, err := m.monitor.Stop()
	last, peaks := &summary.Last, &summary.Peaks
	rusage := exit.Usage.UserSeconds + exit.Usage.SystemSeconds
	if last.Source(metrics.CPUSeconds) != metrics.FromCgroup || rusage > last.Get(metrics.CPUSeconds) { // a cgroup may be gone before its end could be read
		user, system := exit.Usage.UserSeconds, exit.Usage.SystemSeconds
		if m.tree != nil {
			user, system = m.tree.Total(user, system)
		}
		last.Put(metrics.UserSeconds, user, metrics.Rusage)
		last.Put(metrics.SystemSeconds, system, metrics.Rusage)
		last.Put(metrics.CPUSeconds, user+system, metrics.Rusage)
	}
	if io := exit.IO; io != (container.IO{}) {
		last.Put(metrics.FileReadBytes, float64(io.FileRead), metrics.FromProc)
		last.Put(metrics.FileWriteBytes, float64(io.FileWritten), metrics.FromProc)
		if last.Source(metrics.ReadBytes) != metrics.FromCgroup {
			last.Put(metrics.ReadBytes, float64(io.Read), metrics.FromProc)
			last.Put(metrics.WriteBytes, float64(io.Written), metrics.FromProc)
		}
	}
	most := float64(exit.Usage.MaxRSS) // of the largest process alone
	if peaks.Source(metrics.MemoryBytes) != metrics.FromCgroup && most > peaks.Get(metrics.MemoryBytes) {
		peaks.Put(metrics.MemoryBytes, most, metrics.Rusage)
	}
	if exit.Code != 0 && m.shm == nil {
		err = errors.Join(err, m.lateShm(peaks))
	}
	m.counted = *last
	r.Totals, r.Peaks, r.Sources = totals(last), greatest(peaks), sources(last, peaks)
	m.gpus.result(summary.GPUs, r)
	return err
}

// lateShm measures the /dev/shm of a job that failed before it was looked at. The keeper still has it.
func (m *Measurement) lateShm(peaks *metrics.Sample) (err error) {
	view, err := m.Box.View()
	if err != nil {
		return nil // the keeper has ended as well
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	fd, err := view.SharedMemory()
	if err != nil {
		return nil // likewise
	}
	m.shm = metrics.OpenShm(fd)
	used, size, err := m.shm.Room()
	m.shmSize = size
	peaks.Put(metrics.ShmBytes, used, metrics.FromProc)
	return errors.Join(err, m.shm.Close())
}

// Evidence is what was measured of a job's end. It follows Result.
func (m *Measurement) Evidence(r record.Result) (e cause.Evidence) {
	if m.oom != nil {
		e.OOM = m.oom.Report()
	}
	if m.tree != nil {
		e.Largest = m.tree.Largest()
	}
	e.Peaks, e.ShmSize, e.GPUs = r.Peaks, m.shmSize, m.gpus.evidence(r)
	e.Measured = r.Sources["peaks.memory_bytes"] == string(metrics.FromCgroup)
	return e
}

func totals(s *metrics.Sample) record.Totals {
	return record.Totals{
		CPUSeconds: s.Get(metrics.CPUSeconds), UserSeconds: s.Get(metrics.UserSeconds), SystemSeconds: s.Get(metrics.SystemSeconds),
		ThrottledSeconds: known(s, metrics.ThrottledSeconds),
		ReadBytes:        whole(s, metrics.ReadBytes), WriteBytes: whole(s, metrics.WriteBytes),
		FileReadBytes: whole(s, metrics.FileReadBytes), FileWriteBytes: whole(s, metrics.FileWriteBytes),
		ReceivedBytes: whole(s, metrics.ReceivedBytes), SentBytes: whole(s, metrics.SentBytes),
		CPUPressure: known(s, metrics.CPUPressure), MemoryPressure: known(s, metrics.MemoryPressure), IOPressure: known(s, metrics.IOPressure),
	}
}

func greatest(s *metrics.Sample) record.Peaks {
	return record.Peaks{
		MemoryBytes: int64(s.Get(metrics.MemoryBytes)), AnonShmemBytes: whole(s, metrics.AnonShmemBytes), SwapBytes: whole(s, metrics.SwapBytes),
		Processes: whole(s, metrics.Processes), ShmBytes: whole(s, metrics.ShmBytes), CPUCores: known(s, metrics.CPUCores),
	}
}

// known is a number of a sample, nil when it was not measured.
func known(s *metrics.Sample, f metrics.Field) *float64 {
	if !s.Has(f) {
		return nil
	}
	v := math.Round(s.Get(f)*1e6) / 1e6 // the kernel has microseconds at best
	return &v
}

func whole(s *metrics.Sample, f metrics.Field) *int64 {
	if !s.Has(f) {
		return nil
	}
	v := int64(s.Get(f))
	return &v
}

// sources says where each number is from.
func sources(last, peaks *metrics.Sample) map[string]string {
	out := map[string]string{}
	for f := range metrics.Fields() {
		switch {
		case f.Counter() && last.Has(f):
			out["totals."+f.String()] = string(last.Source(f))
		case !f.Counter() && peaks.Has(f):
			out["peaks."+f.String()] = string(peaks.Source(f))
		}
	}
	return out
}
