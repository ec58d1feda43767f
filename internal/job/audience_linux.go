package job

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/go-units"
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
)

// audience is who has attached to a job, beside the caller that started it. Nobody of it ever holds up the job.
type audience struct {
	any atomic.Bool // there is somebody: else nothing costs anything

	mu        sync.Mutex
	listeners map[*attached]struct{}
	over      bool
}

// hear hands some output on.
func (a *audience) hear(stream int, text []byte) {
	if a == nil || !a.any.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for l := range a.listeners {
		l.hear(stream, text)
	}
}

// add lets somebody hear what comes from now on; false: nothing will.
func (a *audience) add(l *attached) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	if a.listeners == nil {
		a.listeners = map[*attached]struct{}{}
	}
	a.listeners[l] = struct{}{}
	a.any.Store(true)
	go l.pass()
	return true
}

// remove is for one who has left.
func (a *audience) remove(l *attached) {
	a.mu.Lock()
	delete(a.listeners, l)
	a.any.Store(len(a.listeners) > 0)
	a.mu.Unlock()
	l.end()
}

// begin lets others hear a job that is started again.
func (a *audience) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = false
}

// end tells everybody that there is no more, and gives them some time to have the rest.
func (a *audience) end() {
	a.mu.Lock()
	a.over = true
	listeners := slices.Collect(maps.Keys(a.listeners))
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
	queue  []piece
	bytes  int
	missed int64
	ended  bool
	passed chan struct{} // closed when all is with them, or they have gone
}

// piece is some output.
type piece struct {
	stream int
	text   []byte
}

func newAttached(out, err *os.File) *attached {
	l := &attached{streams: [2]io.WriteCloser{out, nil}, passed: make(chan struct{})}
	if err != nil {
		l.streams[errStream] = err
	}
	l.more.L = &l.mu
	return l
}

// hear takes some output, or counts what there is no room for.
func (l *attached) hear(stream int, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if l.bytes+len(text) > backlog {
		l.missed += int64(len(text))
		return
	}
	l.tellMissed(stream)
	if last := len(l.queue) - 1; last >= 0 && l.queue[last].stream == stream { // many short ones would take many times their room
		l.queue[last].text = append(l.queue[last].text, text...)
	} else {
		l.queue = append(l.queue, piece{stream, slices.Clone(text)})
	}
	l.bytes += len(text)
	l.more.Signal()
}

// tellMissed puts into the output how much of it is missing there.
func (l *attached) tellMissed(stream int) {
	if l.missed == 0 {
		return
	}
	text := fmt.Appendf(nil, "\r\n[coracle: %s of output came faster than it was read; 'coracle logs' has it]\r\n", units.BytesSize(float64(l.missed)))
	l.queue, l.missed = append(l.queue, piece{stream, text}), 0
}

// end is the end of what they will hear.
func (l *attached) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.tellMissed(outStream)
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
		for len(l.queue) == 0 && !l.ended {
			l.more.Wait()
		}
		some := l.queue
		l.queue, l.bytes = nil, 0
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
				l.ended, l.queue = true, nil
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
