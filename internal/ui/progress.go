package ui

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Times between two pictures of the bars, smooth enough and nothing to the CPU, between two lines of JSON, and between two
// plain lines of the whole.
const (
	frameTime = 100 * time.Millisecond
	jsonTime  = time.Second
	plainTime = 10 * time.Second
)

// Style is how progress is shown.
type Style string

// The styles.
const (
	Auto  Style = "auto"  // bars on a terminal, else plain
	Plain Style = "plain" // lines
	JSON  Style = "json"  // one object a line: see Event
	None  Style = "none"
)

// Styles are all of them.
var Styles = []Style{Auto, Plain, JSON, None}

// Progress shows the layers of an image as they arrive: as bars that are drawn again in place on a terminal, elsewhere as one
// line when a layer begins and one when it is there, and one of the whole now and then. It is a pull.Progress: its methods may
// be called by several goroutines at once, for layers in any order. Close ends the drawing.
type Progress struct {
	err   stream
	style Style // not Auto
	now   func() time.Time

	mu     sync.Mutex
	status string   // what happens before the first layer
	layers []*layer // in the order in which they were announced
	ended  []string // lines that the next frame leaves above the bars, for good
	drawn  int      // lines of the last frame that the next one replaces
	whole  speeds
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
	digest, id string
	total      int64 // compressed bytes; may be 0 when the registry does not say
	read       int64 // of them, that have come
	resumed    int64 // that were here before
	packed     int64 // that have been unpacked
	files      int64
	started    time.Time
	active     bool
	ended      bool
	speeds     speeds
}

// here is how many bytes are here.
func (l *layer) here() int64 { return l.read + l.resumed }

// Progress returns a new display on standard error; a terminal shows the status until there is a layer to show. The caller
// closes it.
func (p *Printer) Progress(status string) *Progress { return p.ProgressIn(Auto, status) }

// ProgressIn is Progress in a style.
func (p *Printer) ProgressIn(style Style, status string) *Progress {
	if style == Auto && p.err.file == nil {
		style = Plain
	}
	return newProgress(p.err, style, status, time.Now)
}

func newProgress(err stream, style Style, status string, now func() time.Time) *Progress {
	pr := &Progress{err: err, style: style, status: Escape(status), now: now, stop: make(chan struct{}), words: pulling}
	switch style {
	case Auto:
		pr.idle.Go(func() { pr.animate(frameTime, pr.draw) })
	case Plain:
		pr.idle.Go(func() { pr.animate(plainTime, pr.sayWhole) })
	case JSON:
		pr.idle.Go(func() { pr.animate(jsonTime, pr.emitProgress) })
	case None:
	}
	return pr
}

// Silent reports whether nobody sees anything of it.
func (pr *Progress) Silent() bool { return pr.style == None }

// animate draws until Close.
func (pr *Progress) animate(every time.Duration, draw func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			draw()
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
	if pr.style == Auto {
		pr.draw()
	}
}

// Resolved says which image is being pulled.
func (pr *Progress) Resolved(ref, digest string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.status = ""
	pr.tell(Event{Event: "resolved", Ref: ref, Digest: digest}, fmt.Sprintf("%s %s (%s)", pr.words.began, Escape(ref), short(digest)))
}

// LayerPlanned says that a layer of so many bytes is going to be fetched.
func (pr *Progress) LayerPlanned(digest string, total int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.find(digest).total = total
	pr.tell(Event{Event: "layer", Digest: digest, State: "planned", Total: total}, "")
}

// LayerExists says that a layer is in the store already.
func (pr *Progress) LayerExists(digest string, size int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if l := pr.known(digest); l != nil { // somebody else has brought it
		l.ended, l.active, l.resumed = true, false, l.total-l.read
	}
	pr.tell(Event{Event: "layer", Digest: digest, State: "exists", Total: size}, fmt.Sprintf("%s: %s, %s", short(digest), pr.words.here, Size(size)))
}

// LayerStarted says that a layer of so many bytes is being fetched; when it comes again, that it begins anew.
func (pr *Progress) LayerStarted(digest string, total int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	*l = layer{digest: l.digest, id: l.id, total: total, started: pr.now(), active: true}
	line := ""
	if pr.style == Plain {
		line = fmt.Sprintf("%s: %s %s", l.id, pr.words.going, Size(total))
	}
	pr.tell(Event{Event: "layer", Digest: digest, State: "started", Total: total}, line)
}

// LayerResumed says that n bytes of a layer were here before.
func (pr *Progress) LayerResumed(digest string, n int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	l.resumed += n
	pr.tell(Event{Event: "layer", Digest: digest, State: "resumed", Bytes: n, Total: l.total}, fmt.Sprintf("%s: going on, %s are here", l.id, Size(n)))
}

// LayerRead says that n more bytes of a layer have come.
func (pr *Progress) LayerRead(digest string, n int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.find(digest).read += n
}

// LayerUnpacked says that n more bytes of a layer, as it came, have been unpacked, or so many more files.
func (pr *Progress) LayerUnpacked(digest string, n, files int64) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	l.packed += n
	l.files += files
}

// LayerDone says that a layer is there, unpacked and verified.
func (pr *Progress) LayerDone(digest string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	l := pr.find(digest)
	if l.ended {
		return
	}
	l.ended, l.active, l.read = true, false, max(l.read, l.total-l.resumed)
	took := pr.now().Sub(l.started)
	pr.tell(Event{Event: "layer", Digest: digest, State: "done", Bytes: l.here(), Total: l.total, Files: l.files, Seconds: took.Seconds()},
		fmt.Sprintf("%s: done, %s in %s", l.id, Size(l.here()), Duration(took)))
}

// Note leaves a sentence about something that took another turn.
func (pr *Progress) Note(text string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.tell(Event{Event: "note", Text: text}, Escape(text))
}

// known returns the layer of a digest, or nil.
func (pr *Progress) known(digest string) *layer {
	for _, l := range pr.layers {
		if l.digest == digest {
			return l
		}
	}
	return nil
}

// find returns the layer of a digest, new when it is not known.
func (pr *Progress) find(digest string) *layer {
	if l := pr.known(digest); l != nil {
		return l
	}
	l := &layer{digest: digest, id: short(digest), started: pr.now()}
	pr.layers = append(pr.layers, l)
	return l
}

// tell leaves a line for good, in the form of the style: at once, or with the next frame where there are bars.
func (pr *Progress) tell(event Event, line string) {
	switch {
	case pr.style == JSON:
		pr.emit(event)
	case line == "" || pr.style == None:
	case pr.style == Auto:
		pr.ended = append(pr.ended, line)
	default:
		_, _ = fmt.Fprintln(pr.err, line)
	}
}

// sayWhole leaves a line about all layers together.
func (pr *Progress) sayWhole() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	c := pr.total(pr.now())
	if c.total == 0 || c.here == c.total && c.packed == c.total {
		return
	}
	_, _ = fmt.Fprintln(pr.err, c.sentence())
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
