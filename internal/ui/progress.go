package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// frameTime is the time between two pictures of the bars: smooth enough, and nothing to the CPU.
const frameTime = 100 * time.Millisecond

// Progress shows the layers of an image as they arrive: as bars that are drawn again in place on a terminal, elsewhere as one
// line when a layer begins and one when it is there. It is a pull.Progress: its methods may be called by several goroutines at
// once, for layers in any order. Close ends the drawing.
type Progress struct {
	err stream
	now func() time.Time

	mu     sync.Mutex
	status string   // what happens before the first layer
	layers []*layer // in the order in which they were announced
	ended  []string // lines that the next frame leaves above the bars, for good
	drawn  int      // lines of the last frame that the next one replaces
	rate   rate
	stop   chan struct{}
	idle   sync.WaitGroup
	words  words
}

// words are for the direction in which layers go.
type words struct{ began, here, going string }

var (
	pulling = words{"Pulling", "already here", "fetching"}
	pushing = words{"Pushing", "already there", "sending"}
)

// Pushing makes it a display of layers that are sent.
func (pr *Progress) Pushing() *Progress {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.words = pushing
	return pr
}

// layer is what is known of one layer.
type layer struct {
	id          string
	total, done int64 // compressed bytes; total may be 0 when the registry does not say
	started     time.Time
	ended       bool
}

// Progress returns a new display on standard error; a terminal shows the status until there is a layer to show. The caller
// closes it.
func (p *Printer) Progress(status string) *Progress {
	return newProgress(p.err, status, time.Now)
}

func newProgress(err stream, status string, now func() time.Time) *Progress {
	pr := &Progress{err: err, status: Escape(status), now: now, stop: make(chan struct{}), words: pulling}
	if err.file != nil {
		pr.idle.Go(pr.animate)
	}
	return pr
}

// animate draws until Close.
func (pr *Progress) animate() {
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			pr.draw()
		case <-pr.stop:
			return
		}
	}
}

// Close draws a last time, takes the bars away and leaves the lines. It may be called again.
func (pr *Progress) Close() {
	pr.mu.Lock()
	select {
	case <-pr.stop:
		pr.mu.Unlock()
		return
	default:
		close(pr.stop)
	}
	pr.mu.Unlock()
	pr.idle.Wait()
	if pr.err.file != nil {
		pr.draw()
	}
}

// Resolved says which image is being pulled.
func (pr *Progress) Resolved(ref, digest string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.status = ""
	pr.say(fmt.Sprintf("%s %s (%s)", pr.words.began, Escape(ref), short(digest)))
}

// LayerExists says that a layer is in the store already.
func (pr *Progress) LayerExists(digest string, size int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.say(fmt.Sprintf("%s: %s, %s", short(digest), pr.words.here, Size(size)))
}

// LayerStarted says that a layer of so many bytes is being fetched.
func (pr *Progress) LayerStarted(digest string, total int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	l.total, l.started = total, pr.now()
	if pr.err.file == nil {
		pr.say(fmt.Sprintf("%s: %s %s", l.id, pr.words.going, Size(total)))
	}
}

// LayerRead says that n more bytes of a layer have come.
func (pr *Progress) LayerRead(digest string, n int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.find(digest).done += n
}

// LayerDone says that a layer is there, unpacked and verified.
func (pr *Progress) LayerDone(digest string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	if l.ended {
		return
	}
	l.ended, l.done = true, max(l.done, l.total)
	pr.say(fmt.Sprintf("%s: done, %s in %s", l.id, Size(l.done), Duration(pr.now().Sub(l.started))))
}

// Note leaves a sentence about something that took another turn.
func (pr *Progress) Note(text string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.say(Escape(text))
}

// find returns the layer of a digest, new when it is not known.
func (pr *Progress) find(digest string) *layer {
	id := short(digest)
	for _, l := range pr.layers {
		if l.id == id {
			return l
		}
	}
	l := &layer{id: id, started: pr.now()}
	pr.layers = append(pr.layers, l)
	return l
}

// say leaves a line for good: at once, or with the next frame where there are bars.
func (pr *Progress) say(line string) {
	if pr.err.file != nil {
		pr.ended = append(pr.ended, line)
		return
	}
	_, _ = fmt.Fprintln(pr.err, line)
}

// draw replaces the last frame by the next.
func (pr *Progress) draw() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	width, height, _ := pr.err.size()
	select {
	case <-pr.stop:
		height = 0 // no bars in the last frame
	default:
	}
	_, _ = pr.err.Write([]byte(pr.frame(width, height)))
}

// frame is the text that turns the terminal from the last frame into the next, in one piece so that it does not flicker.
// Lines are shorter than the terminal is wide, so that the cursor can be led back by counting them.
func (pr *Progress) frame(width, height int) string {
	bars := pr.bars(width-1, height-1)
	if len(pr.ended) == 0 && len(bars) == 0 && pr.drawn == 0 {
		return ""
	}
	var b strings.Builder
	if pr.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r", pr.drawn)
	}
	const eraseLine, eraseBelow = "\x1b[K\n", "\x1b[J"
	for _, line := range append(pr.ended, bars...) {
		b.WriteString(line + eraseLine)
	}
	if len(pr.ended)+len(bars) < pr.drawn {
		b.WriteString(eraseBelow)
	}
	pr.ended, pr.drawn = nil, len(bars)
	return b.String()
}

// short is the part of a digest that people read, as docker shows it.
func short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok {
		hex = digest
	}
	return Escape(hex[:min(len(hex), 12)])
}
