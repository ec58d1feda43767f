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
func (s *streams) typed(console *os.File) {
	buf := make([]byte, 4096)
	keys := s.joint.keys
	for {
		n, err := s.caller.In.Read(buf)
		passed, left := keys.Next(buf[:n])
		if _, err := console.Write(passed); err != nil {
			return
		}
		if left {
			_ = s.restore.Run() // the terminal is the caller's again, as far as it can be had
			s.joint.leave()
			return
		}
		if err != nil {
			return
		}
	}
}
