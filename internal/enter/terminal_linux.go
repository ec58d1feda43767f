package enter

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/terminal"
)

// hangUpPatience is how long a terminal may take to end with its command.
const hangUpPatience = time.Second

// join makes the caller's terminal the command's: its size, and with -i its keys. That comes before anything is shown: the command's has
// made "\r\n" of its line ends, and the caller's would do so again.
func (s *session) join(console *os.File) error {
	s.console = console
	s.terminal.Follow(func(size terminal.Size) { terminal.Resize(console, size) }, s.caller.In, s.caller.Out, s.caller.Err)
	if s.command.Interactive {
		if err := s.terminal.Raw(); err != nil {
			return errors.Join(err, console.Close()) // and the command gets SIGHUP
		}
		s.terminal.Suspend()
		s.terminal.Guard(s.typed)
	}
	o := copyOutput(s.terminal, s.caller.Out, console)
	o.hold = hangUpPatience
	s.outputs = append(s.outputs, o)
	return nil
}

// typed hands on what is typed, until the keys to leave are. It ends with this process: nothing else ends a read from a terminal.
func (s *session) typed() {
	if left, _ := terminal.Pass(s.console, s.caller.In, s.command.Keys); left { // of one that is gone the signal tells
		close(s.left)
	}
}

// part leaves the command. The run's supervisor gets its terminal back, which it would lose with this process otherwise.
func (s *session) part() error {
	if err := s.conn.Send(job.ExecSignal{Leave: true}, s.console); err != nil {
		return fmt.Errorf("leaving the command: %w", err)
	}
	err := s.console.Close() // ends its output here
	for _, o := range s.outputs {
		<-o.done
	}
	return errors.Join(ErrLeft, err)
}
