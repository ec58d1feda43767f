package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/host"
)

// serve begins to serve for one test.
func serve(t *testing.T, dir string, table Table) Peer {
	t.Helper()
	s, err := Serve(dir, table)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return peer(t, dir)
}

// peer is this process as a supervisor.
func peer(t *testing.T, dir string) Peer {
	t.Helper()
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	return Peer{Owner: self, Dir: dir}
}

func dial(t *testing.T, p Peer) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// table is what the tests ask for.
func table() Table {
	return Table{
		Operations: map[string]Operation{
			"upper": func(_ context.Context, call *Call) error {
				var text string
				if err := call.Args(&text); err != nil {
					return err
				}
				return call.Reply(strings.ToUpper(text))
			},
			"nothing": func(context.Context, *Call) error { return nil },
			"fail":    func(context.Context, *Call) error { return errSpecial },
			"swap": func(_ context.Context, call *Call) error { // writes to the first of two files, and gives back the other
				if _, err := call.Files[0].WriteString("from the supervisor"); err != nil {
					return err
				}
				return call.Reply(len(call.Files), call.Files[1])
			},
			"count": func(_ context.Context, call *Call) error { // goes on until it is told to end
				if err := call.Reply("ready"); err != nil {
					return err
				}
				for {
					var n int
					_, err := call.Receive(&n)
					if err == nil {
						err = call.Send(n + 1)
					}
					if err != nil {
						return err
					}
				}
			},
			"wait": func(ctx context.Context, call *Call) error {
				if err := call.Reply("waiting"); err != nil {
					return err
				}
				<-ctx.Done()
				return call.Send("over")
			},
			"flood": func(_ context.Context, call *Call) error {
				flooded <- call.Reply(strings.Repeat("x", maxMessage/2))
				return nil
			},
		},
		Kind: func(err error) string {
			if errors.Is(err, errSpecial) {
				return "special"
			}
			return ""
		},
	}
}

var (
	errSpecial = errors.New("something special is wrong")
	flooded    = make(chan error, 1)
)

func TestCall(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	var got string
	if _, err := dial(t, p).Call(t.Context(), "upper", "abc", &got); err != nil || got != "ABC" {
		t.Errorf("upper: %q, %v", got, err)
	}
	long := strings.Repeat("a", 3<<20)
	if _, err := dial(t, p).Call(t.Context(), "upper", long, &got); err != nil || got != strings.ToUpper(long) {
		t.Errorf("upper of %d bytes: %d bytes, %v", len(long), len(got), err)
	}
	if _, err := dial(t, p).Call(t.Context(), "nothing", nil, nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	for operation, kind := range map[string]string{"fail": "special", "no such": KindUnknown, "upper": KindRequest} {
		_, err := dial(t, p).Call(t.Context(), operation, 7, nil)
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != kind || e.Message == "" {
			t.Errorf("%s: %v, want an error of kind %s", operation, err, kind)
		}
	}
	if _, err := dial(t, p).Call(t.Context(), "upper", strings.Repeat("a", maxMessage), nil); err == nil {
		t.Error("a message that is too long was sent")
	}
}

func TestFiles(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	given, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	var n int
	files, err := dial(t, p).Call(t.Context(), "swap", nil, &n, w, given)
	if err != nil || len(files) != 1 || n != 2 {
		t.Fatalf("swap: %d files of %d, %v", len(files), n, err)
	}
	defer CloseAll(files)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "from the supervisor" { // the end of file: nobody has kept it
		t.Errorf("read %q, %v", text, err)
	}
	want, _ := given.Stat()
	if got, err := files[0].Stat(); err != nil || !os.SameFile(got, want) {
		t.Errorf("another file came back: %v", err)
	}
}

func TestConversation(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	c := dial(t, p)
	if _, err := c.Call(t.Context(), "count", nil, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		var n int
		if err := c.Send(i); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(&n); err != nil || n != i+1 {
			t.Fatalf("got %d, %v after %d", n, err, i)
		}
	}
}

// TestLongPath: a socket's path is 107 bytes long at most.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 60))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var got string
	if _, err := dial(t, serve(t, dir, table())).Call(t.Context(), "upper", "abc", &got); err != nil || got != "ABC" {
		t.Errorf("upper: %q, %v", got, err)
	}
}

// set gives a variable another value for one test, until after the servers of the test have been closed: call it before they serve.
func set(t *testing.T, variable *time.Duration, value time.Duration) {
	t.Helper()
	old := *variable
	*variable = value
	t.Cleanup(func() { *variable = old })
}

// TestDialWaits: a job may have been started a moment ago.
func TestDialWaits(t *testing.T) {
	set(t, &patience, time.Minute)
	dir, done := t.TempDir(), make(chan error, 1)
	p := peer(t, dir)
	go func() {
		c, err := Dial(t.Context(), p)
		if err == nil {
			_, err = c.Call(t.Context(), "nothing", nil, nil)
			_ = c.Close()
		}
		done <- err
	}()
	serve(t, dir, table())
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	set(t, &patience, 10*time.Millisecond)
	p := peer(t, t.TempDir())
	if _, err := Dial(t.Context(), p); !errors.Is(err, ErrNotYet) {
		t.Errorf("nobody listens: %v", err)
	}
	dead := p
	dead.Owner.StartTime += 2
	if _, err := Dial(t.Context(), dead); !errors.Is(err, ErrOver) {
		t.Errorf("it has ended: %v", err)
	}
	away := p
	away.Owner.BootID = "another"
	if _, err := Dial(t.Context(), away); !errors.Is(err, host.ErrElsewhere) {
		t.Errorf("it is on another host: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSpecial)
	if _, err := Dial(ctx, p); !errors.Is(err, errSpecial) {
		t.Errorf("cancelled: %v", err)
	}
	served := serve(t, p.Dir, table())
	served.Owner.PID = os.Getppid()
	if _, err := Dial(t.Context(), served); !errors.Is(err, ErrForeign) {
		t.Errorf("another process listens: %v", err)
	}
}

// TestSupervisorGoes: whoever waits for a reply hears of the supervisor's end.
func TestSupervisorGoes(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.AcceptUnix(); err == nil {
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
		}
	}()
	if _, err := dial(t, peer(t, dir)).Call(t.Context(), "nothing", nil, nil); !errors.Is(err, ErrOver) {
		t.Errorf("error: %v", err)
	}
}

func TestCallIsCancelled(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName)}) // and never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	c := dial(t, peer(t, dir))
	time.AfterFunc(10*time.Millisecond, func() { cancel(errSpecial) })
	if _, err := c.Call(ctx, "nothing", nil, nil); !errors.Is(err, errSpecial) {
		t.Errorf("error: %v", err)
	}
}

// closed is the other end of an operation, after the server has been closed.
func closed(t *testing.T, operation string) *Conn {
	t.Helper()
	dir := t.TempDir()
	s, err := Serve(dir, table())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, peer(t, dir))
	if _, err := c.Call(t.Context(), operation, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return c
}

// TestCloseWaits: an operation may say a last word.
func TestCloseWaits(t *testing.T) {
	set(t, &parting, time.Hour)
	var last string
	if _, err := closed(t, "wait").Receive(&last); err != nil || last != "over" {
		t.Errorf("the last word: %q, %v", last, err)
	}
}

// TestCloseHangsUp: one that does not end is hung up on.
func TestCloseHangsUp(t *testing.T) {
	set(t, &parting, 50*time.Millisecond)
	var last string
	if _, err := closed(t, "count").Receive(&last); !errors.Is(err, io.EOF) {
		t.Errorf("hung up on: %v", err)
	}
}
