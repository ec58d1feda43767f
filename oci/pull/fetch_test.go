package pull

import (
	"testing"
	"time"
)

// A request that has brought nothing for long is raced, unless it is this process that has stood still: no beat has come meanwhile.
func TestStandstillIsNoStraggler(t *testing.T) {
	const long = 2 * straggler
	now := time.Now()
	for name, c := range map[string]struct {
		beaten, late time.Duration // ago
		raced        bool
	}{
		"beats in time":           {beat, time.Hour, true},
		"none, for as long":       {long, time.Hour, false},
		"a late one, a while ago": {beat, long, true},
		"a late one, just now":    {beat, beat, false},
	} {
		f := newFetcher(nil, Options{}, nil)
		f.finished, f.typical = noRivalBelow, 1<<20
		f.beaten, f.late = now.Add(-c.beaten), now.Add(-c.late)
		slow := &segment{end: rangeSize, requests: []*request{{started: now.Add(-long)}}}
		s := &spool{fetcher: f, ctx: t.Context(), segments: []*segment{slow}}
		f.spools = []*spool{s}
		if _, g := f.slowest(now, false); (g == slow) != c.raced {
			t.Errorf("%s: raced: %v", name, g == slow)
		}
		if c.raced {
			continue
		}
		f.beaten = now.Add(straggler) // and beats in time since
		if _, g := f.slowest(now.Add(straggler+beat), false); g != slow {
			t.Errorf("%s: not even when this process has gone on for long enough", name)
		}
	}
}
