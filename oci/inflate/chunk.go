package inflate

import (
	"io"
	"sync"
	"sync/atomic"
)

const (
	window   = 32 << 10 // how far back a match may reach
	longest  = 258      // bytes of a match
	overhang = 32       // written beyond the end of a match

	// A decoder begins at window and stops behind full, which leaves room for two literals and a match below size. The array
	// has room for what is written beyond its end when an index is anything below size.
	size    = 256 << 10
	mask    = size - 1
	full    = size - longest - 6
	bufSize = size + 2*longest + 2*overhang
)

// ChunkSize is the capacity of a Chunk, in bytes.
const ChunkSize = full - window

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

// Fill makes the chunk's content what one Read of r brings. It must have one user, who has not read it yet.
func (c *Chunk) Fill(r io.Reader) (int, error) {
	n, err := r.Read(c.buf[window:full])
	c.from, c.to = window, window+n
	return n, err
}

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
