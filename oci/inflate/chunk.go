package inflate

import (
	"sync"
	"sync/atomic"
)

const (
	// ChunkSize is the capacity of a Chunk, in bytes.
	ChunkSize = full - window
	// ChunkMemory is what a Chunk takes of memory, in bytes; Go's allocator makes it no more.
	ChunkMemory = 160 << 10

	window = 32 << 10 // how far back a match may reach

	// A decoder begins at window and stops at full, or a match of 258 bytes and two literals behind it. The rest is for what a
	// match is written beyond its end, at the greatest length that the compiler can think of (511+31, not 258).
	bufSize = ChunkMemory - 64
	full    = bufSize - 600
)

// Chunk is a piece of a stream that several users read without a copy. It comes with one user; each further one is announced
// with Retain beforehand, and each says Release when it is through. Nobody writes to the bytes. After the last Release the
// memory is used again.
type Chunk struct {
	users    atomic.Int32
	from, to int
	buf      [bufSize]byte
}

var chunks = sync.Pool{New: func() any { return new(Chunk) }}

// NewChunk gives an empty chunk, for streams that are not inflated by this package.
func NewChunk() *Chunk {
	c, _ := chunks.Get().(*Chunk)
	c.users.Store(1)
	c.from, c.to = window, window
	return c
}

// Bytes are the content, to be read only, until Release.
func (c *Chunk) Bytes() []byte { return c.buf[c.from:c.to:c.to] }

// Buffer is the memory of a chunk that its only user may write to, before Resize says how much of it counts.
func (c *Chunk) Buffer() []byte { return c.buf[window:full:full] }

// Resize makes the first n bytes of Buffer the content.
func (c *Chunk) Resize(n int) { c.from, c.to = window, window+min(n, ChunkSize) }

// Retain announces n more users.
func (c *Chunk) Retain(n int) { c.users.Add(int32(n)) }

// Release ends the use by one.
func (c *Chunk) Release() {
	switch users := c.users.Add(-1); {
	case users == 0:
		chunks.Put(c)
	case users < 0:
		panic("inflate: a chunk was released more often than retained")
	}
}
