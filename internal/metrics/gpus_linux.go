package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// GPUWatcher says what some devices do at this moment. A call may hang, and so may Close.
type GPUWatcher interface {
	Watch(ctx context.Context, uuids []string) ([]gpu.Reading, error)
	Close() error
}

// GPUOptions say which devices are watched, and for whom.
type GPUOptions struct {
	Watcher GPUWatcher
	From    Source
	UUIDs   []string // of the devices
	Indices []int    // as the job numbers them
	Started time.Time

	Own   func(pid int) bool        // whose processes are the job's; nil: nobody knows
	Ended func(err error)           // is told once when nothing can be measured any more; on another goroutine
	Lost  func(index int, w string) // is told once of each device that does not answer any more; likewise

	Patience time.Duration // with one answer; 0: the usual
}

const (
	gpuPatience = 15 * time.Second // a watcher has a shorter deadline of its own
	// What was read longer ago than this says nothing of now.
	gpuStale = 3 * time.Second
	// Looks at the devices take at most this part of the time: the driver's locks are those that the job needs, too.
	gpuShare = 1. / 20
	// A look that was taken so shortly before the job's end is as good as one at it.
	gpuJustNow = 100 * time.Millisecond
)

// gpuEndPatience is how long the end of a job waits for a last look at the energy, and for the watcher's own end. Tests have more.
var gpuEndPatience = 200 * time.Millisecond

// errSilent is why nothing can be measured when a watcher does not even keep its own deadline.
var errSilent = errors.New("the GPU driver does not answer")

// GPUs measures some devices. They are asked by a goroutine of its own, so that a driver that hangs holds up nobody: a sample is
// what was read last, and nothing when that is not new.
type GPUs struct {
	options GPUOptions
	cancel  context.CancelFunc
	now     chan chan struct{} // asks for a look now, and to be told
	done    chan struct{}      // no more looks

	mu      sync.Mutex
	devices []*device
	over    bool // nothing counts any more
}

// OpenGPUs begins to watch devices. The watcher is the sampler's from then on.
func OpenGPUs(o GPUOptions) *GPUs {
	if o.Patience == 0 {
		o.Patience = gpuPatience
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &GPUs{options: o, cancel: cancel, now: make(chan chan struct{}, 1), done: make(chan struct{})}
	for i := range o.UUIDs {
		g.devices = append(g.devices, &device{index: o.Indices[i], looked: o.Started, sampled: o.Started, throttled: map[string]float64{}})
	}
	go g.run(ctx)
	return g
}

// run looks at the devices until it is told to end, or cannot any more.
func (g *GPUs) run(ctx context.Context) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked chan struct{}
		select {
		case <-ctx.Done():
			return
		case asked = <-g.now:
		case <-timer.C:
		}
		began := time.Now()
		if !g.look(ctx) {
			return
		}
		if asked != nil {
			close(asked)
		}
		timer.Reset(gpuPause(time.Since(began)))
	}
}

// gpuPause is how long after a look that took so long the next one is.
func gpuPause(took time.Duration) time.Duration {
	return max(interval-took, min(slowest, time.Duration(float64(took)/gpuShare)))
}

// look asks once. It is false when there is no sense in asking again.
func (g *GPUs) look(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, g.options.Patience)
	defer cancel()
	stop := context.AfterFunc(bounded, func() { // of a call that does not come back
		if ctx.Err() == nil {
			g.giveUp(fmt.Errorf("%w within %s", errSilent, g.options.Patience))
		}
	})
	readings, err := g.options.Watcher.Watch(bounded, g.options.UUIDs)
	if !stop() || ctx.Err() != nil {
		return false
	}
	if err != nil {
		g.giveUp(err)
		return false
	}
	g.take(readings, time.Now())
	return true
}

// giveUp says once that nothing can be measured any more.
func (g *GPUs) giveUp(err error) {
	g.mu.Lock()
	first := !g.over
	g.over = true
	g.mu.Unlock()
	if first && g.options.Ended != nil {
		g.options.Ended(err)
	}
}

// take keeps what was read.
func (g *GPUs) take(readings []gpu.Reading, at time.Time) {
	by := make(map[string]*gpu.Reading, len(readings))
	for i := range readings {
		by[readings[i].UUID] = &readings[i]
	}
	for i, d := range g.devices {
		r := by[g.options.UUIDs[i]]
		if r == nil || d.lost {
			continue
		}
		now := d.read(r, at, g.options.From, g.options.Own)
		g.mu.Lock()
		d.latest, d.at, d.fresh, d.gone = now, at, !g.over, d.lost
		g.mu.Unlock()
		if d.lost && g.options.Lost != nil {
			g.options.Lost(d.index, now.Lost)
		}
	}
}

// Sample adds what was read since the sample before, if that is not long ago.
func (g *GPUs) Sample(s *Sample) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.devices {
		if !d.fresh {
			continue
		}
		d.fresh = false
		if !d.gone && time.Since(d.at) > gpuStale {
			continue
		}
		d.latest.Seconds = max(0, d.at.Sub(d.sampled).Seconds())
		d.sampled = d.at
		s.GPUs = append(s.GPUs, d.latest)
	}
	return nil
}

// Lasts implements Lasting: a device counts its energy whether the job is there or not.
func (g *GPUs) Lasts() {}

// Ended takes a last look, if that can be had at once.
func (g *GPUs) Ended() {
	g.mu.Lock()
	recent := g.over
	for _, d := range g.devices {
		recent = recent || time.Since(d.at) < gpuJustNow
	}
	g.mu.Unlock()
	if recent {
		return
	}
	asked := make(chan struct{})
	timeout := time.NewTimer(gpuEndPatience)
	defer timeout.Stop()
	select {
	case g.now <- asked:
	default:
	}
	select {
	case <-asked:
	case <-g.done:
	case <-timeout.C:
	}
}

// Close ends the watcher. It does not wait for one that hangs, which ends with this process at the latest.
func (g *GPUs) Close() error {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.cancel()
	closed := make(chan error, 1)
	go func() { closed <- g.options.Watcher.Close() }()
	timeout := time.NewTimer(gpuEndPatience)
	defer timeout.Stop()
	select {
	case err := <-closed:
		return err
	case <-timeout.C:
		return nil
	}
}
