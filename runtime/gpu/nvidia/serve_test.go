package nvidia

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"

	"github.com/coracle-run/coracle/runtime/gpu"
)

// serve asks a helper lines, and returns its answers.
func serve(t *testing.T, o Options, lines ...string) []gpu.Reply {
	t.Helper()
	var out bytes.Buffer
	if err := Serve(strings.NewReader(strings.Join(lines, "\n")), &out, o); err != nil {
		t.Fatal(err)
	}
	var replies []gpu.Reply
	for d := json.NewDecoder(&out); ; {
		var r gpu.Reply
		if err := d.Decode(&r); err == io.EOF {
			return replies
		} else if err != nil {
			t.Fatal(err)
		}
		if r.Protocol != gpu.Protocol {
			t.Errorf("an answer has protocol %d", r.Protocol)
		}
		replies = append(replies, r)
	}
}

func TestBadRequests(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	replies := serve(t, m.options(), "{", `{"protocol":7,"op":"list"}`, "", m.line("stir"), m.line("spec"),
		`{"protocol":1,"op":"list","driver_root":"relative"}`)
	for i, want := range []string{"unexpected end", "version 7", "stir", "of what"} {
		if f := replies[i].Failure; f == nil || f.Kind != gpu.BadRequest || !strings.Contains(f.Message, want) {
			t.Errorf("answer %d: %+v, want a bad request: %s", i, f, want)
		}
	}
	if len(replies) != 5 {
		t.Errorf("%d answers", len(replies))
	}
	if f := serve(t, m.options(), `{"protocol":1,"op":"list","driver_root":"relative"}`)[0].Failure; f == nil || f.Kind != gpu.BadRequest {
		t.Errorf("a relative driver root: %+v", f)
	}
}

func TestTooLongRequest(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	replies := serve(t, m.options(), m.line("list"), strings.Repeat("x", longestRequest+1))
	if len(replies) != 2 || replies[0].Failure != nil || replies[1].Failure == nil || replies[1].Failure.Kind != gpu.BadRequest {
		t.Errorf("answers: %+v", replies)
	}
}

// TestPanic lets a request fall over; the next one is served.
func TestPanic(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	counts := 0
	m.server.DeviceGetCountFunc = func() (int, nvml.Return) {
		if counts++; counts == 1 {
			panic("the first time")
		}
		return 0, nvml.SUCCESS
	}
	replies := serve(t, m.options(), m.line("list"), m.line("list"))
	if f := replies[0].Failure; f == nil || f.Kind != gpu.Internal || !strings.Contains(f.Message, "the first time") {
		t.Errorf("the first answer: %+v", f)
	}
	if replies[1].Inventory == nil {
		t.Errorf("the second answer: %+v", replies[1])
	}
}

// TestLoadedOnce serves several requests with one load, and lets go of the driver at the end.
func TestLoadedOnce(t *testing.T) {
	m := newMachine(t, dgxa100.New())
	loads, open := 0, 0
	m.server.InitFunc = func() nvml.Return { open++; return nvml.SUCCESS }
	m.server.ShutdownFunc = func() nvml.Return { open--; return nvml.SUCCESS }
	o := m.options()
	load := o.load
	o.load = func(library string) nvml.Interface { loads++; return load(library) }
	serve(t, o, m.line("list"), m.line("watch"), m.line("list"))
	if loads != 1 || open != 0 {
		t.Errorf("loaded %d times, still open %d times", loads, open)
	}
}
