package nvidia

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// longestRequest bounds a line: hundreds of UUIDs fit.
const longestRequest = 1 << 20

// Serve answers the requests that it reads, one line each, until they end. Whatever goes wrong with one of them is its answer; the
// error is one of reading or writing.
func Serve(in io.Reader, out io.Writer, o Options) error {
	s := newSession(o)
	defer s.close()
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 4096), longestRequest)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		if err := write(out, s.answer(lines.Bytes())); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return write(out, reply(failuref(gpu.BadRequest, "the request is longer than %d bytes", longestRequest)))
	} else if err != nil {
		return fmt.Errorf("reading a request: %w", err)
	}
	return nil
}

func write(out io.Writer, r gpu.Reply) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	if _, err := out.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

func reply(err error) gpu.Reply { return gpu.Reply{Protocol: gpu.Protocol, Failure: asFailure(err)} }

// answer does what a line asks for.
func (s *session) answer(line []byte) (r gpu.Reply) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Errorf("panic: %v\n%s", p, debug.Stack())
			r = reply(failuref(gpu.Internal, "panic: %v", p))
		}
	}()
	var request gpu.Request
	if err := json.Unmarshal(line, &request); err != nil {
		return reply(failuref(gpu.BadRequest, "%w", err))
	}
	if request.Protocol != gpu.Protocol {
		return reply(failuref(gpu.BadRequest, "asked in version %d of the protocol, this %s knows version %d: both programs have to be of one release",
			request.Protocol, gpu.HelperName, gpu.Protocol))
	}
	r = gpu.Reply{Protocol: gpu.Protocol}
	if err := s.do(request, &r); err != nil {
		r.Failure = asFailure(err)
	}
	return r
}

func (s *session) do(request gpu.Request, r *gpu.Reply) error {
	if request.Op == gpu.Spec && request.Spec != nil && request.Spec.Jetson {
		return s.jetson(request, r)
	}
	if err := s.open(request.DriverRoot); err != nil {
		return err
	}
	switch request.Op {
	case gpu.List:
		inventory, err := s.inventory()
		if err != nil {
			return err
		}
		r.Inventory = &inventory
		return nil
	case gpu.Spec:
		if request.Spec == nil {
			return failuref(gpu.BadRequest, "spec: the request does not say of what")
		}
		return s.spec(*request.Spec, r)
	case gpu.Watch:
		r.Readings = s.watch(request.UUIDs)
		return nil
	}
	return failuref(gpu.BadRequest, "%q is no operation: there are %s, %s and %s", request.Op, gpu.List, gpu.Spec, gpu.Watch)
}
