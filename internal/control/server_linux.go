package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/socket"
)

// socketName is the socket in the directory of a run's writable layer.
const socketName = "control"

const maxConns = 256 // at a time

// Tests have less time.
var (
	greeting = 5 * time.Second // a peer has to make its request
	parting  = 2 * time.Second // operations have to end when the server is closed
)

// respite is how long nobody is let in when there is no descriptor left.
const respite = 50 * time.Millisecond

// Table is what a supervisor does for commands.
type Table struct {
	Operations map[string]Operation
	// Kind is the kind of an operation's error, by which the other side knows it again. May be nil.
	Kind func(error) string
}

// Operation serves one call. Its error is the reply, unless it has given one; without either, the reply is empty. The context ends when the
// server is closed. It is called by a goroutine of its own.
type Operation func(ctx context.Context, call *Call) error

// Call is what was asked for, and the conversation in which it was.
type Call struct {
	*Conn
	Files []*os.File // that came with it. What is left of them is closed with the conversation

	args    json.RawMessage
	replied bool
}

// Args reads the arguments.
func (c *Call) Args(into any) error {
	if err := json.Unmarshal(c.args, into); err != nil {
		return &Error{KindRequest, "the arguments: " + err.Error()}
	}
	return nil
}

// Reply answers. Send and Receive may follow.
func (c *Call) Reply(result any, files ...*os.File) error {
	raw, err := json.Marshal(result)
	if err != nil {
		return err
	}
	c.replied = true
	return c.Send(reply{Result: raw}, files...)
}

// request is the first message of a command. The first of its files is the command's user namespace.
type request struct {
	Operation string          `json:"operation"`
	Args      json.RawMessage `json:"args,omitempty"`
}

// reply is the first message of a supervisor.
type reply struct {
	Result json.RawMessage `json:"result,omitempty"`
	Failed bool            `json:"failed,omitempty"`
	Kind   string          `json:"kind,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// Server is a supervisor's end.
type Server struct {
	table    Table
	listener *net.UnixListener
	path     string
	ctx      context.Context //nolint:containedctx // of all calls; ended by Close
	cancel   context.CancelFunc

	wait  sync.WaitGroup
	mu    sync.Mutex
	conns map[*Conn]struct{}
}

// Serve begins to serve in a directory, which is the user's alone.
func Serve(dir string, table Table) (*Server, error) {
	s := &Server{table: table, path: filepath.Join(dir, socketName), conns: map[*Conn]struct{}{}}
	var err error
	if s.listener, err = socket.Listen(dir, socketName); err != nil {
		return nil, fmt.Errorf("listening for commands: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wait.Go(s.accept)
	return s, nil
}

// Close ends all conversations, after a moment for what is just being said, and removes the socket.
func (s *Server) Close() error {
	err := s.listener.Close()
	if unlinkErr := os.Remove(s.path); !errors.Is(unlinkErr, fs.ErrNotExist) {
		err = errors.Join(err, unlinkErr)
	}
	s.cancel()
	end := time.AfterFunc(parting, s.hangUp)
	s.wait.Wait()
	end.Stop()
	return err
}

// hangUp closes all connections.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // whoever uses it sees that
	}
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // of descriptors, there are none left just now
			time.Sleep(respite)
			continue
		}
		c := &Conn{socket: conn}
		if peer, err := socket.Peer(conn); err != nil || int(peer.Uid) != os.Geteuid() {
			_ = c.Close() // is owed nothing
			continue
		}
		if !s.admit(c) {
			s.fail(c, &Error{KindBusy, "the run serves too many commands at once"})
			_ = c.Close()
			continue
		}
		s.wait.Go(func() { s.talk(c) })
	}
}

// admit counts a connection, if there is room for it.
func (s *Server) admit(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConns {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// talk is one conversation.
func (s *Server) talk(c *Conn) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
		_ = c.Close() // by hangUp, perhaps
	}()
	call, operation, err := s.hear(c)
	if err != nil {
		s.fail(c, err)
		return
	}
	defer func() { CloseAll(call.Files) }()
	err = operation(s.ctx, call)
	switch {
	case call.replied: // what came of it they have said to each other
	case err != nil:
		s.fail(c, err)
	default:
		_ = c.Send(reply{}) // nobody may be there any more, as in fail
	}
}

// hear takes the request.
func (s *Server) hear(c *Conn) (_ *Call, _ Operation, err error) {
	if err := c.socket.SetReadDeadline(time.Now().Add(greeting)); err != nil {
		return nil, nil, err
	}
	size, files, err := c.head()
	defer func() {
		if err != nil {
			CloseAll(files)
		}
	}()
	if err != nil {
		return nil, nil, &Error{KindRequest, err.Error()}
	}
	if len(files) == 0 {
		return nil, nil, &Error{KindStranger, errStranger.Error()}
	}
	if err := checkOutside(files[0]); err != nil {
		return nil, nil, &Error{KindStranger, err.Error()}
	}
	var r request
	if err := c.body(size, &r); err != nil {
		return nil, nil, &Error{KindRequest, err.Error()}
	}
	operation := s.table.Operations[r.Operation]
	if operation == nil {
		return nil, nil, &Error{KindUnknown, fmt.Sprintf("the run's supervisor does not know %q: it is of another version of Coracle", r.Operation)}
	}
	CloseAll(files[:1])
	return &Call{Conn: c, Files: files[1:], args: r.Args}, operation, c.socket.SetReadDeadline(time.Time{})
}

// fail replies with an error.
func (s *Server) fail(c *Conn, err error) {
	r := reply{Failed: true, Error: err.Error()}
	if e, ok := errors.AsType[*Error](err); ok {
		r.Kind = e.Kind
	} else if s.table.Kind != nil {
		r.Kind = s.table.Kind(err)
	}
	_ = c.Send(r)
}
