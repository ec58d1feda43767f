package supervise

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

func TestCheckpointSignal(t *testing.T) {
	for _, c := range []struct {
		asked Checkpoint
		want  unix.Signal
		fine  bool
	}{
		{Checkpoint{}, 0, true},
		{Checkpoint{Signal: "USR1"}, unix.SIGUSR1, true},
		{Checkpoint{Signal: "SIGTERM", Before: time.Minute}, unix.SIGTERM, true},
		{Checkpoint{Signal: "12"}, unix.SIGUSR2, true},
		{Checkpoint{Before: time.Minute}, 0, false},
		{Checkpoint{Signal: "KILL"}, 0, false},
		{Checkpoint{Signal: "STOP"}, 0, false},
		{Checkpoint{Signal: "no"}, 0, false},
		{Checkpoint{Signal: "RTMIN+3"}, 37, true},
		{Checkpoint{Signal: "URG"}, 0, false},
		{Checkpoint{Signal: "CHLD"}, 0, false},
		{Checkpoint{Signal: "33"}, 0, false},
	} {
		got, err := c.asked.Check()
		if got != c.want || (err == nil) != c.fine || err != nil && !errors.Is(err, spec.ErrOption) {
			t.Errorf("%+v: %v, %v", c.asked, got, err)
		}
	}
}

// A signal that somebody once sent to init alone does not make the next one everybody's.
func TestSignalOfEverybody(t *testing.T) {
	now := time.Now().Add(time.Minute) // however slow this machine is
	for name, tc := range map[string]struct {
		came []container.Outside
		want bool
	}{
		"nothing":        {nil, false},
		"now":            {[]container.Outside{{Signal: unix.SIGUSR1, At: now}}, true},
		"long ago":       {[]container.Outside{{Signal: unix.SIGUSR1, At: now.Add(-time.Hour)}}, false},
		"another":        {[]container.Outside{{Signal: unix.SIGUSR2, At: now}}, false},
		"behind another": {[]container.Outside{{Signal: unix.SIGUSR1, At: now.Add(-time.Hour)}, {Signal: unix.SIGUSR2, At: now}, {Signal: unix.SIGUSR1, At: now}}, true},
	} {
		outside := make(chan container.Outside, len(tc.came))
		for _, one := range tc.came {
			outside <- one
		}
		if got := comes(unix.SIGUSR1, outside, nil); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
