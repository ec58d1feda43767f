package signals

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/spec"
)

func TestStopSignal(t *testing.T) {
	for _, c := range []struct {
		asked, image string
		want         syscall.Signal
		notices      int
	}{
		{"", "", unix.SIGTERM, 0}, {"", "SIGINT", unix.SIGINT, 0}, {"", "quit", unix.SIGQUIT, 0}, {"", "3", unix.SIGQUIT, 0},
		{"", "SIGRTMIN+3", 37, 0}, {"USR1", "SIGINT", unix.SIGUSR1, 0}, {"SIGKILL", "", unix.SIGKILL, 0},
		{"", "999", unix.SIGTERM, 1}, {"", "0", unix.SIGTERM, 1}, {"", "-9", unix.SIGTERM, 1}, {"", "SIG\x1b[31m" + strings.Repeat("x", 1<<20), unix.SIGTERM, 1},
	} {
		notices := 0
		got, err := ForStop(c.asked, c.image, func(text string) {
			if notices++; len(text) > 200 {
				t.Errorf("a notice of %d bytes", len(text))
			}
		})
		if err != nil || got != c.want || notices != c.notices {
			t.Errorf("--stop-signal %q, STOPSIGNAL %.20q: %v, %v, %d notices", c.asked, c.image, got, err, notices)
		}
	}
	for _, bad := range []string{"999", "0", "TERMINATE", "-1"} {
		if _, err := ForStop(bad, "", nil); !errors.Is(err, spec.ErrOption) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
