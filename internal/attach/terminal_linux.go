package attach

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/runtime/container"
)

func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// size is that of the caller's terminal.
func (s *session) size() (container.Size, bool) {
	if !isTerminal(s.options.In) {
		return container.Size{}, false
	}
	ws, err := unix.IoctlGetWinsize(int(s.options.In.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Row == 0 || ws.Col == 0 {
		return container.Size{}, false
	}
	return container.Size{Rows: ws.Row, Cols: ws.Col}, true
}

// follow gives the job's terminal the size of the caller's whenever that changes.
func (s *session) follow() {
	resized, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(resized, unix.SIGWINCH)
	s.restore.Add(func() error {
		signal.Stop(resized)
		close(done)
		return nil
	})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-resized:
				if size, ok := s.size(); ok {
					_ = s.conn.Send(job.AttachSize{Size: size}) // cosmetic
				}
			}
		}
	}()
}
