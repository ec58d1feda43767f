package gpu

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How long a helper may take for one answer. Without nvidia-persistenced the driver initialises each GPU anew, which takes
// seconds apiece; once it is loaded, a sample takes milliseconds.
const (
	loadPatience  = 60 * time.Second
	specPatience  = 30 * time.Second
	watchPatience = 5 * time.Second
	closePatience = 500 * time.Millisecond
)

// SlowDriver is when a person is told that the driver is what is being waited for.
const SlowDriver = 3 * time.Second

// longestLine bounds an answer: the specification of a machine with 16 GPUs in 7 instances each has about 300 kB.
const longestLine = 16 << 20

// Helper is a running coracle-nvidia. Its methods may be used by several goroutines; what is asked is answered one by one.
type Helper struct {
	process  *process
	root     string
	patience time.Duration

	mu       sync.Mutex // held while an answer is awaited
	lines    *bufio.Reader
	warnings []string
	broken   error // nothing can be asked any more
}

// Open starts the helper. The caller closes it. Errors wrap ErrNoHelper or ErrHelper.
func Open(ctx context.Context, place Place) (*Helper, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := place.find()
	if err != nil {
		return nil, err
	}
	p, err := start(path)
	if err != nil {
		return nil, fmt.Errorf("%w: starting %s: %w", ErrHelper, path, err)
	}
	return &Helper{process: p, root: place.DriverRoot, patience: place.Patience, lines: bufio.NewReader(p.from)}, nil
}

// List says what GPUs there are. Errors of this and the next two wrap one of the errors of this package; after one that is about
// the helper and not about the driver, every further call returns the same.
func (h *Helper) List(ctx context.Context) (Inventory, error) {
	reply, err := h.ask(ctx, Request{Op: List}, loadPatience)
	if err != nil {
		return Inventory{}, err
	}
	return *reply.Inventory, nil
}

// Spec is the CDI specification by which a container gets devices.
func (h *Helper) Spec(ctx context.Context, request SpecRequest) (json.RawMessage, error) {
	reply, err := h.ask(ctx, Request{Op: Spec, Spec: &request}, specPatience)
	if err != nil {
		return nil, err
	}
	return reply.CDI, nil
}

// Watch says what devices do at this moment, in the order of the UUIDs.
func (h *Helper) Watch(ctx context.Context, uuids []string) ([]Reading, error) {
	reply, err := h.ask(ctx, Request{Op: Watch, UUIDs: uuids}, watchPatience)
	if err != nil {
		return nil, err
	}
	return reply.Readings, nil
}

// Warnings are what the helper has had to say to the user so far, each once.
func (h *Helper) Warnings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.warnings)
}

// Close ends the helper, also one that is being waited for: that call fails. A second Close does nothing.
func (h *Helper) Close() error {
	if !h.mu.TryLock() {
		h.process.kill()
		h.mu.Lock()
	}
	defer h.mu.Unlock()
	if errors.Is(h.broken, ErrClosed) {
		return nil
	}
	patience := closePatience
	if h.broken != nil {
		patience = 0 // it has been killed
	}
	h.broken = ErrClosed
	return h.process.stop(patience)
}

// ask has one request answered.
func (h *Helper) ask(ctx context.Context, request Request, patience time.Duration) (Reply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken != nil {
		return Reply{}, h.broken
	}
	request.Protocol, request.DriverRoot = Protocol, h.root
	patience = cmp.Or(h.patience, patience)
	stop := context.AfterFunc(ctx, h.process.kill)
	defer stop()
	reply, err := h.exchange(request, patience)
	if err == nil {
		err = reply.check(request.Op)
	}
	if err != nil {
		h.process.kill()
		h.broken = h.explain(ctx, err, patience)
		return Reply{}, h.broken
	}
	for _, w := range reply.Warnings {
		if !slices.Contains(h.warnings, w) {
			h.warnings = append(h.warnings, w)
		}
	}
	if reply.Failure != nil {
		return Reply{}, reply.Failure.error()
	}
	return reply, nil
}

// exchange writes a line and reads one.
func (h *Helper) exchange(request Request, patience time.Duration) (reply Reply, err error) {
	text, err := json.Marshal(request)
	if err != nil {
		return reply, err
	}
	deadline := time.Now().Add(patience)
	if err := errors.Join(h.process.to.SetWriteDeadline(deadline), h.process.from.SetReadDeadline(deadline)); err != nil {
		return reply, err
	}
	if _, err := h.process.to.Write(append(text, '\n')); err != nil {
		return reply, err
	}
	line, err := readLine(h.lines, longestLine)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(line, &reply); err != nil {
		return reply, fmt.Errorf("what it says is no answer: %.60q: %w", line, err)
	}
	return reply, nil
}

// errLine is returned for a line that does not end.
var errLine = errors.New("its answer is too long")

// readLine reads to the end of a line of at most so many bytes. A last line that is not ended is cut off, and none.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, errLine
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// check finds out whether a reply is one to what was asked.
func (r Reply) check(op Op) error {
	if r.Protocol != Protocol {
		return fmt.Errorf("%w: it speaks protocol %d, and this Coracle %d", ErrVersion, r.Protocol, Protocol)
	}
	there := r.Failure != nil
	switch op {
	case List:
		there = there || r.Inventory != nil
	case Spec:
		there = there || len(r.CDI) > 0
	default:
		there = true // nobody need be watched
	}
	if !there {
		return fmt.Errorf("it has not answered what was asked: %s", op)
	}
	return nil
}

// explain says why there was no answer.
func (h *Helper) explain(ctx context.Context, err error, patience time.Duration) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, ErrVersion):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		err := fmt.Errorf("%w within %s, and was killed", ErrHung, patience)
		if text := h.process.words(); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return err
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed), errors.Is(err, io.ErrClosedPipe), errors.Is(err, unix.EPIPE):
		return fmt.Errorf("%w: it ended before it answered: %s", ErrHelper, cmp.Or(h.process.last(), "without a word"))
	}
	if text := h.process.words(); text != "" {
		return fmt.Errorf("%w: %w: %s", ErrHelper, err, text)
	}
	return fmt.Errorf("%w: %w", ErrHelper, err)
}
