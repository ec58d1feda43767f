package doctor

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

const (
	// A clock that is wrong by more makes certificates look expired, or not valid yet; tokens of registries live for minutes.
	wrongClock = 24 * time.Hour
	lateClock  = 2 * time.Minute
)

const clockWhy = "certificates and tokens of registries are refused by a clock that is wrong, and records have wrong times"

// clock compares the machine's with what cannot be later than now.
func (p *patient) clock(ctx context.Context) []Finding {
	now := time.Now()
	since, what := youngest()
	if now.Before(since) {
		return []Finding{failure(fmt.Sprintf("it says %s, and %s is from %s", now.UTC().Format(time.RFC3339), what, since.UTC().Format(time.RFC3339)), clockWhy).by(Administrator, setClock)}
	}
	if p.Offline {
		return []Finding{ok(fmt.Sprintf("it says %s, after %s", now.UTC().Format(time.RFC3339), what))}
	}
	r, err := wait(ctx, p.reached)
	if err != nil || r.Clock == 0 {
		return []Finding{ok(fmt.Sprintf("it says %s, after %s; no registry has said otherwise", now.UTC().Format(time.RFC3339), what))}
	}
	ahead := -r.Clock.Round(time.Second)
	direction := "ahead of"
	if ahead < 0 {
		direction, ahead = "behind", -ahead
	}
	found := fmt.Sprintf("it is %s %s that of %s", ahead, direction, r.Host)
	switch {
	case ahead > wrongClock:
		return []Finding{failure(found, clockWhy).by(Administrator, setClock)}
	case ahead > lateClock:
		return []Finding{warning(found, clockWhy).by(Administrator, setClock)}
	}
	return []Finding{ok("it agrees with that of " + r.Host)}
}

const setClock = "timedatectl set-ntp true (or: chronyc makestep)"

// youngest is the latest of what is certain to lie in the past, as far as this program goes.
func youngest() (at time.Time, what string) {
	what = "the making of this program"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				at = t
			}
		}
	}
	if st, err := os.Stat("/proc/self/exe"); err == nil && st.ModTime().After(at) {
		at, what = st.ModTime(), "the file of this program"
	}
	return at, what
}
