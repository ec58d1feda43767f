package pull

import (
	"context"
	"errors"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	maxAhead   = 12        // layers that are fetched before there is a core to unpack them
	aheadBytes = 256 << 20 // of them, unless it is one
)

// queue decides which layers are unpacked, as many at once as there is room for, and which of the others are fetched in the
// meantime. Small layers take longer to be asked for than to be unpacked.
type queue struct {
	slots chan any // holds one for each layer that is being unpacked
	freed chan any // a token when others may be fetched ahead

	mu    sync.Mutex
	ahead int64 // bytes
	many  int
}

func newQueue(layers int) *queue {
	return &queue{slots: make(chan any, layers), freed: make(chan any, 1)}
}

// reserve takes room for a blob that is fetched ahead, if there is any.
func (q *queue) reserve(size int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.many == maxAhead || q.many > 0 && q.ahead+size > aheadBytes {
		return false
	}
	q.many++
	q.ahead += size
	return true
}

func (q *queue) unreserve(size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.many--
	q.ahead -= size
	select {
	case q.freed <- nil:
	default:
	}
}

// begin opens the blob of a layer, and returns once it may be unpacked. It calls inLine once it has a place or waits for one.
// The caller calls done after it, whatever happens.
func (p *puller) begin(ctx context.Context, desc ocispec.Descriptor, inLine func()) (b input, done func(), err error) {
	done = func() { <-p.queue.slots }
	for {
		select { // first, for a select of two that are ready chooses any
		case p.queue.slots <- nil:
			inLine()
			b, err = p.blob(ctx, desc)
			return b, done, err
		default:
		}
		if p.fetch.parallel() && !p.store.Blobs().Has(desc.Digest) && p.queue.reserve(desc.Size) {
			return p.beginAhead(ctx, desc, inLine, done)
		}
		inLine()
		select {
		case p.queue.slots <- nil:
			b, err = p.blob(ctx, desc)
			return b, done, err
		case <-p.queue.freed:
		case <-ctx.Done():
			return nil, func() {}, context.Cause(ctx)
		}
	}
}

// beginAhead fetches a blob while it waits.
func (p *puller) beginAhead(ctx context.Context, desc ocispec.Descriptor, inLine, done func()) (input, func(), error) {
	defer p.queue.unreserve(desc.Size)
	s, err := p.spool(ctx, desc, true, true)
	if err != nil {
		return nil, func() {}, err
	}
	inLine()
	select {
	case p.queue.slots <- nil:
		s.wanted()
		return s, done, nil
	case <-ctx.Done():
		err := context.Cause(ctx)
		return nil, func() {}, errors.Join(err, s.finish(err, false))
	}
}
