package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/socket"
)

// Peer is the supervisor of a run.
type Peer struct {
	Owner host.Owner
	Dir   string // of the run's writable layer
}

// patience is how long a supervisor that is there may take to listen: it does when the job runs. Tests have less.
var patience = 3 * time.Second

// pause is how often it is looked for.
const pause = 5 * time.Millisecond

// Dial connects to a supervisor. The errors are ErrOver, ErrNotYet, ErrForeign and host.ErrElsewhere.
func Dial(ctx context.Context, p Peer) (*Conn, error) {
	if err := p.Owner.Here(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); ; {
		conn, err := socket.Dial(p.Dir, socketName)
		switch {
		case err == nil:
			return p.check(conn)
		case p.Owner.Dead():
			return nil, ErrOver
		case !passing(err):
			return nil, fmt.Errorf("speaking to the run's supervisor: %w", err)
		case time.Now().After(end):
			return nil, ErrNotYet
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// passing are errors of a supervisor that does not listen yet, or has too much to do.
func passing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EAGAIN)
}

// check makes sure that the supervisor is at the other end. A job that can write records may have named itself in one; but it is in a
// pid namespace further down, and no supervisor that takes commands from here is.
func (p Peer) check(conn *net.UnixConn) (*Conn, error) {
	peer, err := socket.Peer(conn)
	var pids []int
	if err == nil {
		pids, err = proc.PeerPids(conn)
	}
	switch {
	case errors.Is(err, proc.ErrPeerGone) && p.Owner.Dead():
		return nil, errors.Join(ErrOver, conn.Close())
	case errors.Is(err, proc.ErrPeerGone), err == nil && (int(peer.Uid) != os.Geteuid() || len(pids) != 1 || pids[0] != p.Owner.PID):
		err = ErrForeign
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("speaking to the run's supervisor: %w", err), conn.Close())
	}
	return &Conn{socket: conn}, nil
}

// Call asks for an operation, the one of this connection, and waits for its reply. What the supervisor reports is an *Error; one
// that has ended meanwhile is ErrOver. The files that came with the reply are the caller's to close. When ctx ends before the reply
// has come, the connection is closed.
func (c *Conn) Call(ctx context.Context, operation string, args, result any, files ...*os.File) (received []*os.File, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // ends Send and Receive
	defer func() {
		if !stop() && err != nil {
			err = context.Cause(ctx)
		}
	}()
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	own, err := userNamespace()
	if err != nil {
		return nil, err
	}
	defer own.Close()
	sendErr := c.Send(request{Operation: operation, Args: raw}, append([]*os.File{own}, files...)...)
	if sendErr != nil && !gone(sendErr) {
		return nil, sendErr
	}
	var r reply // a supervisor that does not listen to the end has said why
	received, err = c.Receive(&r)
	if err != nil {
		return nil, ended(errors.Join(sendErr, err))
	}
	if r.Failed {
		CloseAll(received)
		return nil, &Error{r.Kind, r.Error}
	}
	if result != nil && len(r.Result) > 0 {
		if err := json.Unmarshal(r.Result, result); err != nil {
			CloseAll(received)
			return nil, fmt.Errorf("hearing from the run's supervisor: %w", err)
		}
	}
	return received, nil
}

// ended is the error for a supervisor that has gone in the middle.
func ended(err error) error {
	if gone(err) {
		return ErrOver
	}
	return err
}

// gone reports whether an error says that nobody is at the other end any more.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}
