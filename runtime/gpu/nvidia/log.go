package nvidia

import (
	"fmt"
	"io"
)

// Log takes what NVIDIA's generator and its hooks say, some forty lines for a container that lacks nothing: every file is named for
// which it has looked in vain. W is where the lines go, nowhere when nil.
type Log struct{ W io.Writer }

func (l Log) line(format string, args []any) {
	if l.W != nil {
		_, _ = fmt.Fprintf(l.W, format+"\n", args...) // who does not read it, does without
	}
}

// Errorf logs.
func (l Log) Errorf(format string, args ...any) { l.line("error: "+format, args) }

// Warningf logs.
func (l Log) Warningf(format string, args ...any) { l.line("warning: "+format, args) }

// Infof logs.
func (l Log) Infof(format string, args ...any) { l.line(format, args) }

// Debugf does nothing.
func (l Log) Debugf(string, ...any) {}

// Tracef does nothing.
func (l Log) Tracef(string, ...any) {}
