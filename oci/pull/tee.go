package pull

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/inflate"
)

// errClosed ends a stage whose reader has gone.
var errClosed = errors.New("the stream was closed")

// pieces is a stream in chunks: those there are, then the error that ends it, again and again.
type pieces interface {
	Next() (*inflate.Chunk, error)
}

// filled makes pieces of a reader.
type filled struct {
	r   io.Reader
	err error // of r
}

// Next fills a chunk to the brim: the fewer there are the less it costs to hand them on.
func (f *filled) Next() (*inflate.Chunk, error) {
	c := inflate.NewChunk()
	n := 0
	for p := c.Buffer(); f.err == nil && n < len(p); {
		var m int
		m, f.err = f.r.Read(p[n:])
		n += m
	}
	if n == 0 {
		c.Release()
		return nil, f.err
	}
	c.Resize(n)
	return c, nil
}

// tee reads ahead from a stream, hashes what it reads on the side, and hands it on to one reader. Nothing is copied for that.
type tee struct {
	to     chan *inflate.Chunk
	closed chan struct{}
	once   sync.Once
	all    sync.WaitGroup

	err  error     // of the source; to be looked at once to is closed
	hash hash.Hash // to be looked at once all is done

	before, now *inflate.Chunk // being read
	rest        []byte         // of now
}

// newTee starts reading, with so many chunks between two stages. stop must be called; what src is blocked on must end by itself
// or by its context.
func newTee(src pieces, queue int) *tee {
	t := &tee{to: make(chan *inflate.Chunk, queue), closed: make(chan struct{}), hash: sha256.New()}
	hashes := make(chan *inflate.Chunk, queue)
	t.all.Go(func() {
		defer close(t.to)
		defer close(hashes)
		t.err = t.feed(src, hashes)
	})
	t.all.Go(func() {
		for c := range hashes {
			_, _ = t.hash.Write(c.Bytes()) // never fails (hash.Hash)
			c.Release()
		}
	})
	return t
}

// feed moves the source into both channels.
func (t *tee) feed(src pieces, hashes chan<- *inflate.Chunk) error {
	for {
		c, err := src.Next()
		if err != nil {
			return err
		}
		c.Retain(1)
		hashes <- c
		select {
		case t.to <- c:
		case <-t.closed:
			c.Release()
			return errClosed
		}
	}
}

// Next gives the bytes that follow, which stay as they are until the call after the next one: see unpack.Chunks.
func (t *tee) Next() ([]byte, error) {
	if len(t.rest) == 0 {
		if err := t.advance(); err != nil {
			return nil, err
		}
	}
	b := t.rest
	t.rest = nil
	return b, nil
}

// advance gets a chunk.
func (t *tee) advance() error {
	if t.before != nil {
		t.before.Release()
	}
	t.before, t.now = t.now, nil
	select {
	case <-t.closed:
		return errClosed
	case c, ok := <-t.to:
		if !ok {
			return t.err
		}
		t.now, t.rest = c, c.Bytes()
		return nil
	}
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		if err := t.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// stop ends the stream, but does not wait: see wait. It may be called more than once.
func (t *tee) stop() { t.once.Do(func() { close(t.closed) }) }

// wait returns when both goroutines have ended.
func (t *tee) wait() { t.all.Wait() }

// digest is that of all the source had, which must have been read to its end.
func (t *tee) digest() digest.Digest {
	t.wait()
	return digest.NewDigest(digest.SHA256, t.hash)
}
