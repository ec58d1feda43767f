package supervise

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/container"
)

// The operations that stop a job's processes for a while and let them go on. They have no arguments and reply nothing.
const (
	OpPause   = "pause"
	OpUnpause = "unpause"
)

// pausePatience is how long the kernel may take to freeze a job: some of its processes may wait for a disk.
const pausePatience = 10 * time.Second

// Pause stops a job and lets it go on: by its control group where that can be frozen, which no process sees, else each of them by
// SIGSTOP. Whoever asks a paused job to end lets it go on, as docker does.
type Pause struct {
	box   *container.Container
	group *cgroup.Group
	tell  func(paused bool) error // the record
	event func(kind string, fields map[string]any)

	mu     sync.RWMutex // held for reading while a process is brought into the container
	paused bool
}

// way is how a job is stopped.
func (p *Pause) way() string {
	if p.group.Freezes() {
		return "cgroup-v2"
	}
	return "signal"
}

// Begin is the operation OpPause.
func (p *Pause) Begin(ctx context.Context, _ *control.Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused {
		return ErrPaused
	}
	if p.box.Joins() {
		return errJoint
	}
	ctx, cancel := context.WithTimeout(ctx, pausePatience)
	defer cancel()
	p.paused = true // and taken back even if only half of it is
	if err := p.stop(ctx); err != nil {
		return errors.Join(err, p.goOn())
	}
	p.event("paused", map[string]any{"by": p.way()})
	return p.tell(true)
}

func (p *Pause) stop(ctx context.Context) error {
	if p.group.Freezes() {
		return p.group.Freeze(ctx)
	}
	return p.box.Stop(ctx)
}

// End is the operation OpUnpause.
func (p *Pause) End(context.Context, *control.Call) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		return ErrNotPaused
	}
	return p.goOn()
}

// wake lets a paused job go on that is to hear a signal.
func (p *Pause) wake() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		return nil
	}
	return p.goOn()
}

func (p *Pause) goOn() error {
	var err error
	if p.group.Freezes() {
		err = p.group.Thaw()
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), pausePatience)
		defer cancel()
		err = p.box.Continue(ctx)
	}
	if errors.Is(err, container.ErrEnded) {
		err = nil
	}
	if err != nil {
		return err
	}
	p.paused = false
	p.event("unpaused", nil)
	return p.tell(false)
}

// Moving keeps the job from being paused until the function that it returns is called; an error says that it is paused.
func (p *Pause) Moving() (done func(), err error) {
	p.mu.RLock()
	if p.paused {
		p.mu.RUnlock()
		return nil, ErrPaused
	}
	return p.mu.RUnlock, nil
}
