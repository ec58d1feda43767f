package unpack

import "testing"

// A directory whose writer is behind does not go on with one that is idle, but has a full batch of its own open.
func TestRoomFits(t *testing.T) {
	c := &crew{memory: make(chan struct{}, 4)}
	for range cap(c.memory) {
		c.memory <- struct{}{}
	}
	busy, idle := &writer{queue: make(chan *batch, 4)}, &writer{queue: make(chan *batch, 4)}
	c.writers = []*writer{busy, idle}
	busy.open, idle.open = &batch{buf: make([]byte, batchSize-10, batchSize)}, &batch{buf: make([]byte, batchSize-10, batchSize)}
	busy.queued.Store(5)
	c.out.Add(1) // busy.open
	b := c.room(&place{writer: busy}, smallFile)
	if b == nil || cap(b.buf)-len(b.buf) < smallFile {
		t.Error("no room for a small file")
	}
}
