package record

import (
	"context"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// followPause is how long it takes at least from one look at a growing log to the next. Where nobody tells of changes, as of another host's,
// it is how often one looks.
var followPause = 100 * time.Millisecond

// changes tells when a record is to be looked at again.
type changes struct {
	watch *fsx.Watch // nil: nobody tells
	gone  chan struct{}
	end   func()
}

// changes begins to listen for what the supervisor of a run writes, and for its end. end is to be called.
func (v View) changes(ctx context.Context) *changes {
	c := &changes{end: func() {}}
	if v.Supervisor.Here() != nil {
		return c
	}
	watch, err := fsx.NewWatch(v.Dir)
	if err != nil {
		return c
	}
	c.watch, c.gone = watch, make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		_ = v.Supervisor.Await(ctx) // what cannot be waited for is looked at
		close(c.gone)
	})
	c.end = func() {
		cancel()
		waiting.Wait()
		_ = watch.Close() // was read only
	}
	return c
}

// await waits until there may be something new, or ctx is done, or it is until; the zero time is never.
func (c *changes) await(ctx context.Context, until time.Time) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(followPause):
	}
	if c.watch == nil {
		return
	}
	var over <-chan time.Time
	if !until.IsZero() {
		over = time.After(time.Until(until))
	}
	select {
	case <-ctx.Done():
	case <-over:
	case <-c.watch.Changed():
	case <-c.gone:
	}
}
