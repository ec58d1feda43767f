package metrics

import (
	"errors"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const (
	interval = time.Second // between samples
	// A sample of very many processes takes its time; all of them together are to take no more than this part of it.
	costShare = 1. / 100
	slowest   = 30 * time.Second
)

// early are the moments of the first samples, for short jobs.
var early = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond}

// Monitor measures one job from Start to Stop.
type Monitor struct {
	started time.Time
	open    func(ended bool) ([]Sampler, error)
	write   func(line []byte) error
	watched func() bool // somebody looks, and every sample is to be written at once

	stop chan struct{}
	done sync.WaitGroup

	samplers []Sampler
	opened   bool
	window   window
	head     string
	known    Sample // whatever was measured, for its sources
	gpus     map[string]Source
	base     Sample // what sources that count others said first
	carried  Sample // counters of what ran before, for the series
	last     Sample
	rated    float64 // CPU seconds at ratedAt
	ratedAt  time.Duration
	summary  Summary
	errs     []error
}

// Summary is what was measured in all.
type Summary struct {
	Last  Sample              // with the counters
	Peaks Sample              // the greatest of each gauge
	GPUs  map[int]*GPUSummary // by the index of the device
}

// Start begins to measure a job. open is called once, on another goroutine, when the first sample is due, or when the job has ended
// before that and only what lasts is of use; it may return some samplers and an error. Of several that know one number the last one
// counts. write gets the lines of the series, one for each period, and for each sample while watched says so.
//
// Of a job that is started again, started is its first start, and before what was measured until now: the series goes on.
func Start(started time.Time, before Sample, open func(ended bool) ([]Sampler, error), write func(line []byte) error, watched func() bool) *Monitor {
	m := &Monitor{started: started, open: open, write: write, watched: watched, stop: make(chan struct{}), carried: before}
	if !before.Empty() {
		m.ratedAt = time.Since(started)
		m.window.from = m.ratedAt
	}
	m.done.Go(m.run)
	return m
}

func (m *Monitor) run() {
	runtime.LockOSThread() // its CPU time is what measuring costs
	defer runtime.UnlockOSThread()
	next := 0
	timer := time.NewTimer(time.Until(m.started.Add(early[0])))
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-timer.C:
		}
		began := cpuTime()
		m.sample(false)
		wait := max(interval, min(slowest, time.Duration(float64(cpuTime()-began)/costShare)))
		if next++; next < len(early) {
			wait = early[next] - early[next-1]
		}
		timer.Reset(wait)
	}
}

// Stop takes the last sample of what is still there when the job has ended, and closes everything. The error is the first of
// each kind that measuring met; what could be measured is in the summary all the same.
func (m *Monitor) Stop() (Summary, error) {
	close(m.stop)
	m.done.Wait()
	m.sample(true)
	if m.window.samples > 0 && m.summary.Last.At >= interval {
		m.flush()
	}
	for _, s := range m.samplers {
		m.note(s.Close())
	}
	return m.summary, errors.Join(m.errs...)
}

// note keeps an error, once: a source that fails does so every second.
func (m *Monitor) note(err error) {
	const most = 4
	if err == nil || len(m.errs) >= most {
		return
	}
	for _, known := range m.errs {
		if known.Error() == err.Error() {
			return
		}
	}
	m.errs = append(m.errs, err)
}

// sample takes one, of the sources that last when the job has ended.
func (m *Monitor) sample(ended bool) {
	if !m.opened {
		var err error
		m.samplers, err = m.open(ended)
		m.note(err)
		m.opened = true
	}
	s := Sample{At: time.Since(m.started)}
	for _, sampler := range m.samplers {
		if _, lasts := sampler.(Lasting); ended && !lasts {
			continue
		}
		if told, ok := sampler.(ending); ok && ended {
			told.Ended()
		}
		m.note(sampler.Sample(&s))
	}
	if s.Empty() {
		return
	}
	m.since(&s)
	m.rate(&s)
	if ended { // what GPUs do now is not for the job
		for i := range s.GPUs {
			s.GPUs[i] = s.GPUs[i].counted()
		}
	}
	m.sum(s)
	if ended { // its gauges are of nobody
		for f := counters; f < fieldCount; f++ {
			s.drop(f)
		}
		s.inherit(m.last)
	}
	m.last = s
	m.window.add(s.after(m.carried))
	if m.window.last.At-m.window.from >= period(s.At)-interval/2 || m.watched() {
		m.flush()
	}
}

// after is a sample with the counters of one before it added: of a job's attempt, and those before.
func (s Sample) after(before Sample) Sample {
	for f := range counters {
		if s.Has(f) && before.Has(f) {
			s.values[f] += before.values[f]
		}
	}
	return s
}

// Carry is what goes before the samples of the next attempt of a job, when this was the last of one.
func (s Sample) Carry(before Sample) Sample {
	s = s.after(before)
	s.inherit(before)
	return s
}

// inherit takes the counters that are missing from the sample before.
func (s *Sample) inherit(before Sample) {
	for f := range counters {
		if !s.Has(f) && before.Has(f) {
			s.Put(f, before.values[f], before.sources[f])
		}
	}
}

// since turns counters of others, too, into what was counted since the job began to be measured.
func (m *Monitor) since(s *Sample) {
	for f := range counters {
		if from := s.Source(f); from != Host && from != Enclosing {
			continue
		}
		if !m.base.Has(f) {
			m.base.Put(f, s.values[f], s.sources[f])
		}
		s.values[f] = max(0, s.values[f]-m.base.values[f])
	}
}

// rate finds how many cores were busy in the last second.
func (m *Monitor) rate(s *Sample) {
	if !s.Has(CPUSeconds) {
		return
	}
	if passed := s.At - m.ratedAt; passed >= interval*9/10 { // times in /proc are in hundredths of a second
		used := s.values[CPUSeconds]
		s.Put(CPUCores, max(0, used-m.rated)/passed.Seconds(), s.sources[CPUSeconds])
		m.rated, m.ratedAt = used, s.At
	}
}

// sum adds a sample to the summary.
func (m *Monitor) sum(s Sample) {
	if s.least > 0 { // a peak is to be certain
		s.values[MemoryBytes] = s.least
		s.drop(AnonShmemBytes)
	}
	u := &m.summary
	before := u.Last
	u.Last = s
	u.Last.inherit(before)
	for f := range fieldCount {
		if s.Has(f) {
			m.known.Put(f, s.values[f], s.sources[f])
		}
	}
	for f := counters; f < fieldCount; f++ {
		if s.Has(f) && (!u.Peaks.Has(f) || s.values[f] > u.Peaks.values[f]) {
			u.Peaks.Put(f, s.values[f], s.sources[f])
		}
	}
	if s.peak > u.Peaks.values[MemoryBytes] && s.Has(MemoryBytes) {
		u.Peaks.Put(MemoryBytes, s.peak, s.sources[MemoryBytes])
	}
	m.sumGPUs(s.GPUs)
}

// sumGPUs adds what devices did to the summary.
func (m *Monitor) sumGPUs(list []GPU) {
	u := &m.summary
	if len(list) > 0 && u.GPUs == nil {
		u.GPUs, m.gpus = map[int]*GPUSummary{}, map[string]Source{}
	}
	for _, g := range list {
		if u.GPUs[g.Index] == nil {
			u.GPUs[g.Index] = &GPUSummary{}
		}
		u.GPUs[g.Index].add(g)
		u.GPUs[g.Index].Last.putSources(m.gpus, "gpus."+strconv.Itoa(g.Index))
	}
}

// flush writes the period that has ended. Where the numbers are from is said first, and again when that changes.
func (m *Monitor) flush() {
	if h := head(m.known, m.gpus); string(h) != m.head {
		m.head = string(h)
		m.note(m.write(h))
	}
	m.note(m.write(m.window.line()))
}
