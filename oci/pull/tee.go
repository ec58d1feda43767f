package pull

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

const chunkSize = 128 << 10

// errClosed ends a stage whose reader has gone.
var errClosed = errors.New("the stream was closed")

// chunk is a buffer on its way to two users, the hash and the reader.
type chunk struct {
	data  []byte
	users atomic.Int32
}

var chunks = sync.Pool{New: func() any { return &chunk{data: make([]byte, chunkSize)} }}

// done gives the chunk back when both users are through with it.
func (c *chunk) done() {
	if c.users.Add(-1) == 0 {
		c.data = c.data[:chunkSize]
		chunks.Put(c)
	}
}

// tee reads ahead from a stream, hashes what it reads on the side, and hands it on to one reader.
type tee struct {
	to     chan *chunk
	closed chan struct{}
	once   sync.Once
	all    sync.WaitGroup

	err  error     // of the source; to be looked at once to is closed
	hash hash.Hash // to be looked at once all is done

	now  *chunk // being read
	rest []byte
}

// newTee starts reading, with so many chunks between two stages. stop must be called; what src is blocked on must end by itself or by its context.
func newTee(src io.Reader, queue int) *tee {
	t := &tee{to: make(chan *chunk, queue), closed: make(chan struct{}), hash: sha256.New()}
	hashes := make(chan *chunk, queue)
	t.all.Go(func() {
		defer close(t.to)
		defer close(hashes)
		t.err = t.feed(src, hashes)
	})
	t.all.Go(func() {
		for c := range hashes {
			_, _ = t.hash.Write(c.data) // never fails (hash.Hash)
			c.done()
		}
	})
	return t
}

// feed moves the source into both channels.
func (t *tee) feed(src io.Reader, hashes chan<- *chunk) error {
	for {
		c, _ := chunks.Get().(*chunk)
		n, err := src.Read(c.data)
		c.data = c.data[:n]
		c.users.Store(2)
		if n == 0 {
			c.done()
			c.done()
		} else {
			hashes <- c
			select {
			case t.to <- c:
			case <-t.closed:
				c.done()
				return errClosed
			}
		}
		if err != nil {
			return err
		}
	}
}

// Read implements io.Reader.
func (t *tee) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		if t.now != nil {
			t.now.done()
			t.now = nil
		}
		select {
		case <-t.closed:
			return 0, errClosed
		case c, ok := <-t.to:
			if !ok {
				return 0, t.err
			}
			t.now, t.rest = c, c.data
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
