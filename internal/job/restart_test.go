package job

import (
	"errors"
	"testing"
	"time"

	"github.com/coracle-run/coracle/runtime/spec"
)

func TestParseRestart(t *testing.T) {
	for _, c := range []struct {
		text     string
		restarts int
		status   int
		want     bool
	}{
		{"", 0, 1, false},
		{"no", 0, 1, false},
		{"on-failure", 0, 0, false},
		{"on-failure", 1000, 1, true},
		{"on-failure:2", 1, 1, true},
		{"on-failure:2", 2, 1, false},
		{"on-failure:2", 0, 0, false},
		{"on-failure:0", 1000, 1, true}, // as docker has it
		{"always", 7, 0, true},
		{"unless-stopped", 7, 1, true},
	} {
		r, err := ParseRestart(c.text)
		if err != nil || r.again(c.restarts, c.status) != c.want {
			t.Errorf("%q after %d restarts with status %d: %v, %v", c.text, c.restarts, c.status, !c.want, err)
		}
	}
	for _, text := range []string{"yes", "on-failure:", "on-failure:x", "on-failure:-1", "always:3", "no:1", "On-Failure"} {
		if r, err := ParseRestart(text); !errors.Is(err, spec.ErrOption) {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
}

// TestBackOff: twice as long each time, up to a minute, and from the beginning after a job that has run for a while.
func TestBackOff(t *testing.T) {
	var all tally
	for i, c := range []struct{ ran, want time.Duration }{
		{0, 100 * time.Millisecond}, {time.Second, 200 * time.Millisecond}, {0, 400 * time.Millisecond}, {9 * time.Second, 800 * time.Millisecond},
		{10 * time.Second, 100 * time.Millisecond}, {0, 200 * time.Millisecond},
	} {
		if got := all.next(c.ran); got != c.want {
			t.Errorf("before start %d: %v, want %v", i+2, got, c.want)
		}
	}
	for range 20 {
		all.next(0)
	}
	if got := all.next(0); got != time.Minute {
		t.Errorf("in the end %v", got)
	}
}
