package cgroup

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// manager is a systemd on a bus of its own, as far as it is asked for scopes. What it is asked for it writes down.
type manager struct {
	bus    string
	answer func(method string) *dbus.Error // nil: it obeys

	mu    sync.Mutex
	asked []string // "StopUnit coracle-ID.scope"
}

// newManager begins to answer.
func newManager(t *testing.T, answer func(method string) *dbus.Error) *manager {
	t.Helper()
	m := &manager{bus: filepath.Join(t.TempDir(), "bus"), answer: answer}
	listener, err := net.Listen("unix", m.bus)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { m.serve(conn) })
		}
	})
	return m
}

// serve speaks with one client (D-Bus specification, "Authentication Protocol" and "Message Protocol").
func (m *manager) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for begun := false; !begun; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := ""
		switch line = strings.Trim(line, "\x00\r\n"); {
		case line == "AUTH":
			reply = "REJECTED EXTERNAL\r\n"
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			reply = "OK 0123456789abcdef0123456789abcdef\r\n"
		case line == "BEGIN":
			begun = true
		default:
			reply = "ERROR\r\n"
		}
		if _, err := conn.Write([]byte(reply)); err != nil {
			return
		}
	}
	for serial := uint32(1); ; serial++ {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		reply := m.reply(call)
		reply.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(call.Serial())
		if err := encode(conn, reply, serial); err != nil {
			return
		}
	}
}

// encode sends a message, which has to have a serial number that only a connection of the library's can give it: it is put where the
// specification has it.
func encode(conn net.Conn, message *dbus.Message, serial uint32) error {
	var text strings.Builder
	if err := message.EncodeTo(&text, binary.LittleEndian); err != nil {
		return err
	}
	raw := []byte(text.String())
	const at = 8
	binary.LittleEndian.PutUint32(raw[at:], serial)
	_, err := conn.Write(raw)
	return err
}

func (m *manager) reply(call *dbus.Message) *dbus.Message {
	method, _ := call.Headers[dbus.FieldMember].Value().(string)
	body := []any{}
	switch method {
	case "Hello":
		body = []any{":1.1"}
	case "StartTransientUnit", "StopUnit":
		unit, _ := call.Body[0].(string)
		m.mu.Lock()
		m.asked = append(m.asked, method+" "+unit)
		m.mu.Unlock()
		if refused := m.answer(method); refused != nil {
			return message(dbus.TypeError, map[dbus.HeaderField]any{dbus.FieldErrorName: refused.Name}, refused.Body)
		}
		body = []any{dbus.ObjectPath("/org/freedesktop/systemd1/job/1")}
	}
	return message(dbus.TypeMethodReply, map[dbus.HeaderField]any{}, body)
}

func message(kind dbus.Type, headers map[dbus.HeaderField]any, body []any) *dbus.Message {
	m := &dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	for field, value := range headers {
		m.Headers[field] = dbus.MakeVariant(value)
	}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	return m
}

func (m *manager) heard() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

func refuse(name string) func(string) *dbus.Error {
	return func(string) *dbus.Error { return dbus.NewError(name, []any{"no"}) }
}

func obey(string) *dbus.Error { return nil }

// TestStopScope: a scope that is there is stopped; one that is not, or whose manager is gone, needs nothing; other answers are errors,
// and what is no scope of a job is not touched.
func TestStopScope(t *testing.T) {
	const unit = "coracle-ID.scope"
	for _, c := range []struct {
		name, unit string
		answer     func(string) *dbus.Error
		asked      bool
		fails      string
	}{
		{"there", unit, obey, true, ""},
		{"gone", unit, refuse(noSuchUnit), true, ""},
		{"refused", unit, refuse("org.freedesktop.DBus.Error.AccessDenied"), true, "stop coracle-ID.scope"},
		{"a service of somebody's", "coracle-ID.service", obey, false, "no scope of a job"},
		{"a scope of somebody's", "session-1.scope", obey, false, "no scope of a job"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newManager(t, c.answer)
			err := StopScope(t.Context(), Unit{Name: c.unit, Bus: m.bus})
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%v", err)
			}
			var want []string
			if c.asked {
				want = []string{"StopUnit " + c.unit}
			}
			if got := m.heard(); !slices.Equal(got, want) {
				t.Errorf("the manager was asked for %q, want %q", got, want)
			}
		})
	}
	if err := StopScope(t.Context(), Unit{Name: unit, Bus: filepath.Join(t.TempDir(), "bus")}); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	deaf, err := net.Listen("unix", filepath.Join(t.TempDir(), "deaf"))
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	defer func(patience time.Duration) { managerPatience = patience }(managerPatience)
	managerPatience = 50 * time.Millisecond
	if err := StopScope(t.Context(), Unit{Name: unit, Bus: deaf.Addr().String()}); err == nil {
		t.Error("a manager that does not answer has stopped the scope")
	}
}

// TestScopesAreForeseen: who has to know of a scope knows it before its manager does, and can forbid it.
func TestScopesAreForeseen(t *testing.T) {
	for name, forbidden := range map[string]error{"foreseen": nil, "forbidden": errors.New("the disk is full")} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, refuse("org.freedesktop.systemd1.UnitExists"))
			f := newFake(t, "/a/b", all...)
			f.deny("/a/b", "/a")
			h := f.look(Look{Full: true})
			h.Manager = &Manager{Address: m.bus, Controllers: all}
			var seen []Unit
			g := h.Arrange(t.Context(), Limits{MemoryBytes: 1 << 30}, Job{
				ID: "ID", Pid: func() (int, error) { return 77, nil },
				Foresee: func(u Unit) error {
					if asked := m.heard(); len(asked) > 0 {
						t.Errorf("the manager knew before: %q", asked)
					}
					seen = append(seen, u)
					return forbidden
				},
			})
			if want := []Unit{{Name: "coracle-ID.scope", Bus: m.bus}}; !slices.Equal(seen, want) {
				t.Errorf("foreseen were %v, want %v", seen, want)
			}
			asked := m.heard()
			if g.Way == Scope || len(g.Missing) == 0 || (len(asked) > 0) != (forbidden == nil) {
				t.Errorf("%s, the manager was asked for %q", summary(g.Plan), asked)
			}
		})
	}
}

// TestDeafManager: of a manager that does not answer is said just that, and not what became of the connection.
func TestDeafManager(t *testing.T) {
	deaf, err := net.Listen("unix", filepath.Join(t.TempDir(), "deaf"))
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	defer func(patience time.Duration) { scopePatience = patience }(scopePatience)
	scopePatience = 50 * time.Millisecond
	f := newFake(t, "/a/b", all...)
	f.deny("/a/b", "/a")
	h := f.look(Look{Full: true})
	h.Manager = &Manager{Address: deaf.Addr().String(), Controllers: all}
	g := h.Arrange(t.Context(), Limits{MemoryBytes: 1 << 30}, Job{
		ID: "ID", Pid: func() (int, error) { return 77, nil }, Foresee: func(Unit) error { return nil },
	})
	if want := "asking systemd for a scope: there was no answer within 50ms"; len(g.Missing) != 1 || g.Missing[0].Why != want {
		t.Errorf("missing is %+v, want it for %q", g.Missing, want)
	}
}
