package pull

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"

	"github.com/coracle-run/coracle/oci/inflate"
)

const (
	// LeastMemory is the smallest budget a pull can keep to.
	LeastMemory = 32 << 20

	defaultMemory = 96 << 20
	programMemory = 14 << 20 // of the program itself, which the garbage collector does not count
	fixedMemory   = 6 << 20  // stacks, manifests, what the runtime holds back

	connectionMemory = inflate.ChunkMemory + 64<<10 // the buffer of a request, and what net/http and crypto/tls have for it
	layerMemory      = 7 << 19                      // the least one layer needs
	unpackMemory     = 8 << 20                      // the most that helps to write files
	maxQueue         = 8                            // chunks between two stages, where there is memory
	minQueue         = 2

	minParallel = 2 // layers, since one waits for the network now and then

	// maxWindow is the memory one zstd stream may ask for without a budget: what the highest level of the zstd program uses
	// (--ultra -22).
	maxWindow = 128 << 20
)

// ErrMemory means that a layer cannot be unpacked within the memory budget. The error is a *MemoryError.
var ErrMemory = errors.New("the memory budget does not suffice")

// MemoryError says what a layer needs.
type MemoryError struct {
	Window int64 // of its compression, in bytes; 0 if not known
	Have   int64 // that the budget has left for one
	Least  int64 // budget that would do; 0 if not known
}

// Error implements error.
func (e *MemoryError) Error() string {
	if e.Window == 0 {
		return fmt.Sprintf("%v: the layer is compressed with a window of more than %d MiB", ErrMemory, e.Have>>20)
	}
	return fmt.Sprintf("%v: the layer is compressed with a window of %d MiB, and %d MiB are left for it", ErrMemory, e.Window>>20, e.Have>>20)
}

// Is makes the error an ErrMemory.
func (e *MemoryError) Is(target error) bool { return target == ErrMemory }

// Unwrap gives the cause.
func (e *MemoryError) Unwrap() error { return zstd.ErrWindowSizeExceeded }

// Hint says what to do next.
func (e *MemoryError) Hint() string {
	if e.Least == 0 {
		return "raise --memory-budget (or CORACLE_MEMORY_BUDGET), or leave it out"
	}
	return fmt.Sprintf("give --memory-budget %dm (or CORACLE_MEMORY_BUDGET), or leave it out", e.Least>>20)
}

// memory is how a pull divides what it may have.
type memory struct {
	limit       int64 // of the garbage collector
	layers      int   // at once
	connections int
	queue       int   // chunks between two stages
	unpack      int64 // for writing the files of one layer
	window      int64 // of one zstd stream; of a larger one others wait
	budget      int64 // that was asked for, or 0

	windows *semaphore.Weighted // bytes for all of them; nil without a budget
}

// divide makes the most of a budget in bytes; 0 is the usual one. layers is how many are wanted at once, 0 one for each CPU.
func divide(budget int64, layers int) memory {
	total := budget
	if total == 0 {
		total = defaultMemory
	}
	total = max(total, LeastMemory)
	m := memory{limit: total - programMemory, budget: budget}
	left := m.limit - fixedMemory
	const shareOfConnections = 6 // one part in so many
	m.connections = int(min(maxConnections, max(2, left/shareOfConnections/connectionMemory)))
	left -= int64(m.connections) * connectionMemory
	if layers <= 0 {
		layers = max(runtime.NumCPU(), minParallel)
	}
	m.layers = int(max(1, min(int64(layers), left/layerMemory)))
	each := left / int64(m.layers)
	m.queue = int(min(maxQueue, max(minQueue, each/4/(pipeQueues*inflate.ChunkMemory))))
	each -= int64(pipeChunks(m.queue)) * inflate.ChunkMemory
	m.unpack = min(unpackMemory, max(each/3, 1<<19))
	if m.window = maxWindow; budget != 0 {
		m.window = max(each-m.unpack, 1<<20)
		m.windows = semaphore.NewWeighted(m.allWindows())
	}
	return m
}

// allWindows is how much memory there is for zstd windows of all layers.
func (m memory) allWindows() int64 { return int64(m.layers) * m.window }

// reserveWindow waits until there is memory for a window, and returns how large it may be: as large as others leave it for
// the usual ones. The error is ErrMemory when there never will be.
func (m memory) reserveWindow(ctx context.Context, window int64) (most int64, release func(), err error) {
	if m.windows == nil {
		return maxWindow, func() {}, nil
	}
	if window > m.allWindows() {
		return 0, nil, m.tooWide(window)
	}
	most = max(window, m.window)
	if err := m.windows.Acquire(ctx, most); err != nil {
		return 0, nil, context.Cause(ctx)
	}
	return most, func() { m.windows.Release(most) }, nil
}

// pipeQueues is how many queues two tees have.
const pipeQueues = 4

// pipeChunks is how many chunks there are at most in the queues and in the hands of the stages.
func pipeChunks(queue int) int { return pipeQueues*queue + 7 }

// tooWide is the error of a stream with a window that is too large; 0 when it is not known how large.
func (m memory) tooWide(window int64) error {
	if m.budget == 0 {
		return zstd.ErrWindowSizeExceeded
	}
	e := &MemoryError{Window: window, Have: m.allWindows()}
	if window > 0 {
		const step = 16 << 20
		e.Least = m.budget
		for e.Least < 1<<40 && divide(e.Least, m.layers).allWindows() < window {
			e.Least += step
		}
	}
	return e
}

// apply has the garbage collector keep to the limit until restore is called.
func (m memory) apply() (restore func()) {
	before := debug.SetMemoryLimit(m.limit)
	if before < m.limit { // somebody was told to use even less
		debug.SetMemoryLimit(before)
	}
	return func() { debug.SetMemoryLimit(before) }
}
