package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/oci/registry"
)

// TestWithin: a check that never comes back is a finding, and one that ends late has its say.
func TestWithin(t *testing.T) {
	defer func(d time.Duration) { lastWord = d }(lastWord)
	stuck := make(chan struct{})
	defer close(stuck)
	for _, c := range []struct {
		name string
		find func(ctx context.Context) []Finding
		want Finding
	}{
		{"it hangs", func(context.Context) []Finding { <-stuck; return nil }, Finding{"x", Failure, "there was no answer within 10ms", "a run would wait for it, too", again, You}},
		{"it heeds its deadline", func(ctx context.Context) []Finding { <-ctx.Done(); return []Finding{note("late", "")} }, Finding{"x", Note, "late", "meaning", again, You}},
		{"it is quick", func(context.Context) []Finding { return []Finding{ok("well").by(You, "nothing")} }, Finding{"x", OK, "well", "meaning", "nothing", You}},
	} {
		if lastWord = time.Minute; c.want.State == Failure {
			lastWord = 10 * time.Millisecond
		}
		got := check{"x", "meaning", 10 * time.Millisecond, c.find}.within(context.Background())
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestWorse(t *testing.T) {
	for _, c := range []struct{ a, b, want State }{{OK, Note, Note}, {Failure, Warning, Failure}, {Note, Note, Note}, {Warning, OK, Warning}} {
		if got := worse(c.a, c.b); got != c.want {
			t.Errorf("of %s and %s the worse is %s", c.a, c.b, got)
		}
	}
	r := Report{Checks: []Finding{{State: OK}, {State: Note}, {State: OK}}}
	if r.Count(OK) != 2 || r.Count(Failure) != 0 {
		t.Errorf("%d, %d", r.Count(OK), r.Count(Failure))
	}
}

func TestAdvised(t *testing.T) {
	for hint, want := range map[string]Finding{
		"":     {},
		"wait": {Who: You, Fix: "wait"},
		"ask the administrator for: sysctl -w a=1":     {Who: Administrator, Fix: "sysctl -w a=1"},
		"ask the administrator for the package uidmap": {Who: Administrator, Fix: "the package uidmap"},
		"ask the administrator to boot otherwise":      {Who: Administrator, Fix: "boot otherwise"},
		"end it, or ask the administrator for more":    {Who: Administrator, Fix: "end it, or ask the administrator for more"},
	} {
		if got := (Finding{}).advised(hint); got != want {
			t.Errorf("%q: %+v", hint, got)
		}
	}
	p := &patient{Options: Options{Advise: func(err error) string { return "after " + err.Error() }}}
	if got := p.advice(failure("x", ""), errors.New("that")); got.Fix != "after that" {
		t.Errorf("%+v", got)
	}
}

func TestLimit(t *testing.T) {
	for left, want := range map[int]State{100: OK, 25: OK, 24: Warning, 0: Failure} {
		f := (&patient{}).limit("docker.io", registry.Reached{Limit: &registry.Limit{Most: 100, Left: left, Window: 6 * time.Hour}})
		if f.State != want || !strings.Contains(f.Found, "100 pulls in 6 hours") || f.State != OK && !strings.Contains(f.Fix, "coracle login") {
			t.Errorf("%d left: %+v", left, f)
		}
	}
}
