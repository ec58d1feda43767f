package job

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// follow gives the job's terminal the size of the caller's, now and whenever that changes.
func (s *streams) follow(console *os.File) {
	resized := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(resized, unix.SIGWINCH)
	s.restore.Add(func() error {
		signal.Stop(resized)
		close(done)
		return nil
	})
	resize := func() {
		if size, ok := terminalSize(s.caller.In); ok {
			_ = unix.IoctlSetWinsize(int(console.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols}) // cosmetic
		}
	}
	resize()
	go func() {
		for {
			select {
			case <-resized:
				resize()
			case <-done:
				return
			}
		}
	}()
}

// typed hands what is typed to the job, until the keys to leave it are. It ends with the process: nothing else ends a read from a
// terminal.
func (s *streams) typed() {
	buf := make([]byte, 4096)
	keys := s.joint.keys
	for {
		n, err := s.caller.In.Read(buf)
		passed, left := keys.Next(buf[:n])
		_, _ = s.joint.Write(passed) // to a job that has ended, and may be started again
		if left {
			s.joint.part()
			return
		}
		if err != nil {
			return
		}
	}
}
