package job

import (
	"fmt"
	"slices"

	"github.com/docker/go-units"
)

// queue is output that waits for somebody. The zero value is an empty one.
type queue struct {
	pieces []piece
	bytes  int
	missed int64 // bytes that there was no room for since the last piece
}

// piece is some output.
type piece struct {
	stream int
	text   []byte
}

// put takes some output, or counts what there is no room for.
func (q *queue) put(stream int, text []byte) {
	if q.bytes+len(text) > backlog {
		q.missed += int64(len(text))
		return
	}
	q.tellMissed(stream)
	if last := len(q.pieces) - 1; last >= 0 && q.pieces[last].stream == stream { // many short ones would take many times their room
		q.pieces[last].text = append(q.pieces[last].text, text...)
	} else {
		q.pieces = append(q.pieces, piece{stream, slices.Clone(text)})
	}
	q.bytes += len(text)
}

// tellMissed puts into the output how much of it is missing there.
func (q *queue) tellMissed(stream int) {
	if q.missed == 0 {
		return
	}
	text := fmt.Appendf(nil, "\r\n[coracle: %s of output came faster than it was read; 'coracle logs' has it]\r\n", units.BytesSize(float64(q.missed)))
	q.pieces, q.missed = append(q.pieces, piece{stream, text}), 0
}

// take empties the queue of what can be read; what was missed since is told with what comes next.
func (q *queue) take() []piece {
	some := q.pieces
	q.pieces, q.bytes = nil, 0
	return some
}

// clone is a queue of the same, for somebody else.
func (q *queue) clone() queue {
	c := *q
	c.pieces = slices.Clone(q.pieces)
	for i := range c.pieces {
		c.pieces[i].text = slices.Clone(c.pieces[i].text)
	}
	return c
}
