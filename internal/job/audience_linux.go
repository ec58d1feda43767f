package job

import (
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The streams of a job's output.
const (
	outStream = iota
	errStream
)

const (
	// backlog is how many bytes of output wait for one who has attached and does not read: more are passed over.
	backlog = 4 << 20
	// lastWords is how long those who have attached have for the end of the output, once the job has ended.
	lastWords = time.Second
	// comesBack is how long what a job prints that has been started again is kept for those who have heard it before.
	comesBack = time.Minute
)

// audience is who has attached to a job, beside the caller that started it. Nobody of it ever holds up the job. They attach to each of its
// starts anew, a moment after it has begun; what they would miss is kept for them.
type audience struct {
	any atomic.Bool // there is somebody: else nothing costs anything

	mu        sync.Mutex
	listeners map[*attached]struct{}
	over      bool
	earlier   int // starts of the job before this one

	heard    int           // so many have heard this start to its end
	awaited  int           // so many have heard the one before, and have not attached to this one yet
	kept     queue         // for them: what this start has printed
	complete chan struct{} // closed when nobody is awaited any more
}

// hear hands some output on.
func (a *audience) hear(stream int, text []byte) {
	if a == nil || !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.awaited > 0 {
		a.kept.put(stream, text)
	}
	for l := range a.listeners {
		l.hear(stream, text)
	}
}

// add lets somebody hear what comes from now on, and who has heard the job's start before this one also what has come; false: they would
// hear nothing. The number is that of this start, from 1; heard is that of the last one that they have heard, or 0.
func (a *audience) add(l *attached, heard int) (start int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	start = a.earlier + 1
	back := a.awaited > 0 && heard == a.earlier && heard > 0
	if a.over && !back {
		return start, false
	}
	if back {
		l.queue = a.kept.clone()
		a.await(a.awaited - 1)
	}
	if a.over {
		a.heard++
		l.end()
	} else {
		if a.listeners == nil {
			a.listeners = map[*attached]struct{}{}
		}
		a.listeners[l] = struct{}{}
		a.any.Store(true)
	}
	go l.pass()
	return start, true
}

// await sets how many are awaited. The lock is held.
func (a *audience) await(n int) {
	a.awaited = n
	if n == 0 {
		a.kept = queue{}
		close(a.complete)
	}
	a.any.Store(n > 0 || len(a.listeners) > 0)
}

// awaits reports whether somebody has heard the start before this one, who has not attached to this one yet.
func (a *audience) awaits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.awaited > 0
}

// gather waits for them, for some time at most. Who has not come then has left.
func (a *audience) gather(patience time.Duration) {
	a.mu.Lock()
	complete, earlier, awaited := a.complete, a.earlier, a.awaited
	a.mu.Unlock()
	if awaited == 0 {
		return
	}
	select {
	case <-complete:
	case <-time.After(patience):
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.earlier == earlier && a.awaited > 0 {
			a.await(0)
		}
	}
}

// remove is for one who has left.
func (a *audience) remove(l *attached) {
	a.mu.Lock()
	delete(a.listeners, l)
	a.any.Store(a.awaited > 0 || len(a.listeners) > 0)
	a.mu.Unlock()
	l.end()
}

// begin lets others hear a job that is started again.
func (a *audience) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.earlier = false, a.earlier+1
	a.kept, a.complete = queue{}, make(chan struct{})
	a.await(a.heard)
	a.heard = 0
	if a.awaited > 0 {
		go a.gather(comesBack)
	}
}

// end tells everybody that there is no more, and gives them some time to have the rest.
func (a *audience) end() {
	a.mu.Lock()
	a.over = true
	listeners := slices.Collect(maps.Keys(a.listeners))
	a.heard += len(listeners)
	a.mu.Unlock()
	if len(listeners) == 0 {
		return
	}
	for _, l := range listeners {
		l.end()
	}
	patience := time.After(lastWords)
	for _, l := range listeners {
		select {
		case <-l.passed:
		case <-patience:
			return
		}
	}
}

// attached is one of them.
type attached struct {
	streams [2]io.WriteCloser // theirs; the second is nil where the job has a terminal

	mu     sync.Mutex
	more   sync.Cond // there is something, or nothing will come
	queue  queue
	ended  bool
	passed chan struct{} // closed when all is with them, or they have gone
}

func newAttached(out, err *os.File) *attached {
	l := &attached{streams: [2]io.WriteCloser{out, nil}, passed: make(chan struct{})}
	if err != nil {
		l.streams[errStream] = err
	}
	l.more.L = &l.mu
	return l
}

// hear takes some output.
func (l *attached) hear(stream int, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.queue.put(stream, text)
		l.more.Signal()
	}
}

// end is the end of what they will hear.
func (l *attached) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.queue.tellMissed(outStream)
	}
	l.ended = true
	l.more.Signal()
}

// pass writes what there is, until the end or until they do not listen any more.
func (l *attached) pass() {
	defer close(l.passed)
	defer l.close()
	for {
		l.mu.Lock()
		for len(l.queue.pieces) == 0 && !l.ended {
			l.more.Wait()
		}
		some := l.queue.take()
		l.mu.Unlock()
		if len(some) == 0 {
			return
		}
		for _, p := range some {
			to := l.streams[p.stream]
			if to == nil {
				to = l.streams[outStream]
			}
			if _, err := to.Write(p.text); err != nil {
				l.mu.Lock()
				l.ended, l.queue = true, queue{}
				l.mu.Unlock()
				return
			}
		}
	}
}

func (l *attached) close() {
	for _, s := range l.streams {
		if s != nil {
			_ = s.Close() // they see the end either way
		}
	}
}
