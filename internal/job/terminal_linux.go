package job

import (
	"fmt"
	"io"
	"os"

	"github.com/coracle-run/coracle/internal/terminal"
)

// checkTerminal refuses what is to be typed into a terminal without one to type at, before anything is fetched for it.
func (o Options) checkTerminal(caller Streams) error {
	if o.Spec.TTY && o.Interactive && !o.Detach && !terminal.Is(caller.In) {
		return fmt.Errorf("%w: leave out -t, or -i", ErrNotTerminal)
	}
	return nil
}

// sized are the files whose size a terminal of the job's has, if they are terminals.
func (s Streams) sized() []*os.File {
	out, _ := s.Out.(*os.File)
	return []*os.File{s.In, out}
}

// patient writes to a job that may have ended, and be started again: what it does not take is dropped.
type patient struct{ to io.Writer }

func (p patient) Write(text []byte) (int, error) {
	_, _ = p.to.Write(text)
	return len(text), nil
}
