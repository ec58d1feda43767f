package ui

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Event is one line of progress in JSON. Fields that say nothing are left out.
//
// Event is "resolved" (Ref, Digest), "layer" (Digest, State, Total, and where they are known Bytes, Files and Seconds), "note"
// (Text), or "progress", once a second while layers are on their way: of all layers together, and in Layers of each of them.
type Event struct {
	Event   string    `json:"event"`
	Time    time.Time `json:"time"`
	Ref     string    `json:"ref,omitempty"`
	Digest  string    `json:"digest,omitempty"`
	State   string    `json:"state,omitempty"` // planned, exists, started, resumed, done
	Text    string    `json:"text,omitempty"`
	Bytes   int64     `json:"bytes"`                 // compressed, that are here
	Total   int64     `json:"total"`                 // of them
	Packed  int64     `json:"unpacked_of"`           // bytes of the compressed form that have been unpacked
	Files   int64     `json:"files"`                 // that were made
	Rate    int64     `json:"rate,omitempty"`        // bytes a second, lately
	Left    float64   `json:"eta_seconds,omitempty"` // time left, as far as can be told
	Seconds float64   `json:"seconds,omitempty"`     // that a layer took
	Layers  []Event   `json:"layers,omitempty"`
}

// emit prints an event in a line of its own.
func (pr *Progress) emit(e Event) {
	e.Time = pr.now().UTC()
	raw, err := json.Marshal(e)
	if err != nil {
		return // there is nothing in it that cannot be JSON
	}
	_, _ = fmt.Fprintln(pr.err, strings.TrimSpace(escapeJSON(string(raw))))
}

// emitProgress prints how things are.
func (pr *Progress) emitProgress() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	now := pr.now()
	whole := pr.total(now)
	var layers []Event
	for _, l := range pr.layers {
		if !l.active {
			continue
		}
		e := l.cells(now).event("layer")
		e.Digest, e.State, e.Time = l.digest, "started", now.UTC()
		layers = append(layers, e)
	}
	if len(layers) == 0 {
		return
	}
	e := whole.event("progress")
	e.Layers = layers
	pr.emit(e)
}

func (c cells) event(kind string) Event {
	return Event{Event: kind, Bytes: c.here, Total: c.total, Packed: c.packed, Files: c.files, Rate: int64(c.rate), Left: c.left.Seconds()}
}
