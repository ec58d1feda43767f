package attach

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/runtime/container"
)

// joinTerminal makes the caller's terminal the job's, where both have one, and begins to hand on what is typed, if the job reads
// anything. It does so once, for all starts of the job.
func (s *session) joinTerminal(is job.AttachReply) error {
	if is.TTY {
		s.terminal.Follow(s.resize, s.options.In, s.options.Out)
	}
	if !is.Input {
		return nil
	}
	keys := terminal.Keys{}
	if is.TTY {
		if !terminal.Is(s.options.In) {
			return fmt.Errorf("%w, and the job has one: give --no-stdin", job.ErrNotTerminal)
		}
		if err := s.terminal.Raw(); err != nil {
			return err
		}
		s.terminal.Suspend()
		keys = s.options.Keys
	}
	s.terminal.Guard(func() { s.typed(keys) })
	return nil
}

// resize gives the job's terminal a size.
func (s *session) resize(size terminal.Size) {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if conn != nil {
		_ = conn.Send(job.AttachSize{Size: container.Size(size)}) // cosmetic
	}
}

// set changes what is resized and typed into, at the start and the end of the job.
func (s *session) set(conn *control.Conn, in *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn, s.in = conn, in
	s.shut()
}

// shut tells the job that no more is typed. It reads on: others may attach.
func (s *session) shut() {
	if s.over && s.in != nil {
		if raw, err := s.in.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }) // of one that is closed there is no need
		}
	}
}

// typed hands on what is typed, until it ends or the keys to leave are typed. It ends with the process: nothing else ends a read from a
// terminal.
func (s *session) typed(keys terminal.Keys) {
	if left, _ := terminal.Pass(s, s.options.In, keys); left { // of a terminal that is gone a signal tells, or a write
		s.leave()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.shut()
}

// Write hands on what has been typed. What comes while no job reads it is dropped.
func (s *session) Write(text []byte) (int, error) {
	s.mu.Lock()
	in := s.in
	s.mu.Unlock()
	if in != nil {
		_, _ = in.Write(text) // a job that has ended may be started again
	}
	return len(text), nil
}
