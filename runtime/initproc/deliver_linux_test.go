package initproc

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPairs: what comes both ways is nobody's, whichever way is the shorter; what the supervisor alone has got is delivered once, late.
func TestPairs(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, c := range []struct{ what, want string }{
		{"a", "20"},
		{"o", ""},
		{"ao", ""},
		{"oa", ""},
		{"aa", "0 20"},
		{"aoa", "20"},
		{"oao", ""},
		{"oaa", "20"},
		{"o,a", "1120"}, // the own one was another, of long ago
		{"aoao", ""},
	} {
		p, now, got := pairs{}, start, ""
		deliver := func() { got += fmt.Sprintf(" %d", now.Sub(start).Milliseconds()) }
		for _, way := range c.what {
			switch way {
			case 'a':
				if p.ask(unix.SIGUSR1, now, 20*time.Millisecond) {
					deliver()
				}
			case 'o':
				p.come(unix.SIGUSR1, now)
			case ',':
				now = now.Add(1100 * time.Millisecond)
			}
		}
		for range 3 {
			ready, wait := p.due(now)
			for range ready {
				deliver()
			}
			now = now.Add(wait)
		}
		if want := c.want; got != want && got != " "+want {
			t.Errorf("%s: delivered at %q, want %q", c.what, got, want)
		}
	}
}
