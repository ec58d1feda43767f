package signals

import (
	"cmp"
	"fmt"
	"strings"
	"syscall"

	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/spec"
)

// ForStop is what a job gets in place of SIGTERM: what the user asked for, else what the image says (STOPSIGNAL), by name or
// number, "SIGRTMIN+3" among them. notice is told of an image that names none.
func ForStop(asked, image string, notice func(string)) (syscall.Signal, error) {
	if asked != "" {
		sig, ok := Parse(asked)
		if !ok {
			return 0, fmt.Errorf("%w: --stop-signal %q is no signal", spec.ErrOption, asked)
		}
		return sig, nil
	}
	if image == "" {
		return unix.SIGTERM, nil
	}
	sig, ok := Parse(image)
	if !ok {
		notice(fmt.Sprintf("the image's stop signal %q is none; SIGTERM stands in for it", shorten(image)))
		return unix.SIGTERM, nil
	}
	return sig, nil
}

// Parse reads a name or number. Numbers go up to 64, and 0 is none.
func Parse(text string) (sig syscall.Signal, ok bool) {
	sig, err := signal.ParseSignal(text)
	return sig, err == nil && sig > 0 && sig <= 64
}

// shorten keeps what an image says to a part of a line.
func shorten(text string) string {
	const most = 40
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Name is a signal's name; a real-time signal has none.
func Name(s unix.Signal) string {
	return cmp.Or(unix.SignalName(s), fmt.Sprintf("signal %d", int(s)))
}
