package unpack

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	batchSize = 256 << 10 // bytes of content in a batch
	batchLen  = 64        // files in a batch
	smallFile = 64 << 10  // what is larger is written by the reader of the archive, without a copy

	maxWriters = 8
)

// job is a small file that is to be made: a name that nothing in the layer has.
type job struct {
	seq      int64  // of the entry in the archive
	entry    string // the archive's name for it
	dir      int    // descriptor, open until the crew has been drained
	base     string
	mode     uint32
	mtime    time.Time
	from, to int // its content in the batch
}

// batch is a buffer full of small files.
type batch struct {
	jobs []job
	buf  []byte
}

var batches = sync.Pool{New: func() any {
	return &batch{jobs: make([]job, 0, batchLen), buf: make([]byte, 0, batchSize)}
}}

// crew writes small files on goroutines of its own while the archive is read on. Files of one directory go to one writer, as
// a directory is locked while a name is made in it. All methods are for the one goroutine that reads the archive.
//
// No order is kept between jobs, and none is needed: each is a new name in a directory that stays as it is. Whoever wants to
// look at a name that may be that of a job, or to take a directory away, calls drain first.
type crew struct {
	ctx     context.Context //nolint:containedctx // lives for one call of Layer
	write   func(j *job, content []byte) error
	writers []*writer
	memory  chan struct{}  // one token for each batch that may still be made
	out     sync.WaitGroup // batches that are on their way
	all     sync.WaitGroup // writers

	failed  atomic.Bool
	mu      sync.Mutex
	failure error
	seq     int64 // of the failure
}

// writer is one goroutine of a crew.
type writer struct {
	queue  chan *batch
	queued atomic.Int32
	open   *batch // being filled by the reader
}

// newCrew starts n writers with memory for so many batches; none where that does not suffice, or n is 1: then the reader
// does it all. close must be called.
func newCrew(ctx context.Context, n, batches int, write func(j *job, content []byte) error) *crew {
	c := &crew{ctx: ctx, write: write}
	n = min(n, maxWriters, batches-1)
	if n < 2 {
		return c
	}
	c.memory = make(chan struct{}, batches)
	for range batches {
		c.memory <- struct{}{}
	}
	for range n {
		w := &writer{queue: make(chan *batch, batches)}
		c.writers = append(c.writers, w)
		c.all.Go(func() {
			for b := range w.queue {
				c.work(b)
				w.queued.Add(-1)
				c.free(b)
			}
		})
	}
	return c
}

// work writes the files of a batch. After a failure only what comes before it in the archive is still of interest: it may
// fail too, and the first failure is the one to tell.
func (c *crew) work(b *batch) {
	for i := range b.jobs {
		j := &b.jobs[i]
		if c.ctx.Err() != nil {
			return
		}
		if c.failed.Load() && c.isAfterFailure(j.seq) {
			continue
		}
		if err := c.write(j, b.buf[j.from:j.to]); err != nil {
			c.fail(j.seq, &EntryError{Name: j.entry, Err: err})
		}
	}
}

func (c *crew) isAfterFailure(seq int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return seq > c.seq
}

func (c *crew) fail(seq int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil || seq < c.seq {
		c.failure, c.seq = err, seq
	}
	c.failed.Store(true)
}

// free gives a batch back.
func (c *crew) free(b *batch) {
	clear(b.jobs) // the names
	b.jobs, b.buf = b.jobs[:0], b.buf[:0]
	batches.Put(b)
	c.memory <- struct{}{}
	c.out.Done()
}

// room is a batch with room for one more file of size bytes, at most smallFile, on its way to the writer of a directory.
// There must be writers.
func (c *crew) room(dir *place, size int) *batch {
	if dir.writer == nil {
		dir.writer = c.idlest()
	}
	w := dir.writer
	if !w.open.fits(size) {
		c.flush(w)
		if other := c.idlest(); w.queued.Load() > 2 && other.queued.Load() == 0 && other.open.fits(size) {
			dir.writer, w = other, other // a large directory goes on elsewhere, rather than that somebody is idle
		}
	}
	if w.open == nil {
		<-c.memory
		w.open, _ = batches.Get().(*batch)
		c.out.Add(1)
	}
	return w.open
}

// fits reports whether there is room for one more file; where there is no batch yet, there is.
func (b *batch) fits(size int) bool {
	return b == nil || len(b.jobs) < batchLen && len(b.buf)+size <= batchSize
}

// idlest is the writer with the least to do.
func (c *crew) idlest() *writer {
	best := c.writers[0]
	for _, w := range c.writers[1:] {
		if w.load() < best.load() {
			best = w
		}
	}
	return best
}

// load is how much a writer has to do: batches, and then what is about to become one.
func (w *writer) load() int {
	n := int(w.queued.Load()) * 2
	if w.open != nil {
		n++
	}
	return n
}

// flush hands on what has been filled.
func (c *crew) flush(w *writer) {
	w.queued.Add(1)
	w.queue <- w.open // has room for all batches there are
	w.open = nil
}

// drain returns when no job is left.
func (c *crew) drain() {
	for _, w := range c.writers {
		if w.open != nil {
			c.flush(w)
		}
	}
	c.out.Wait()
}

// settle drains the crew and says what failed first: a job, whose entry comes before the reader's, or else err.
func (c *crew) settle(err error) error {
	c.drain()
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if c.failure != nil {
		return c.failure
	}
	return err
}

// close ends the writers. Nothing of them runs when it returns.
func (c *crew) close() {
	c.drain()
	for _, w := range c.writers {
		close(w.queue)
	}
	c.all.Wait()
}
