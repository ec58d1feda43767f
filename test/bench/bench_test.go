package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestFieldTakesTurns runs contenders that note when they run: every round has each once, and another one first.
func TestFieldTakesTurns(t *testing.T) {
	var order []string
	turn := func(name string) contender {
		return contender{name: name, program: "/bin/true", before: func() error { order = append(order, name); return nil },
			command: func(ctx context.Context, _ int) *exec.Cmd { return exec.CommandContext(ctx, "/bin/true") }}
	}
	broken := turn("c")
	broken.command = func(ctx context.Context, _ int) *exec.Cmd {
		return exec.CommandContext(ctx, "/bin/sh", "-c", "echo first >&2; echo 'no  such luck' >&2; exit 3")
	}
	f := field{contenders: []contender{turn("a"), turn("b"), broken, {name: "d", program: "/no/such/program"}}, reference: "a", rounds: 3, warmup: 1}
	table, err := f.run(t.Context(), "test", options{rounds: 2, warmup: -1}, &workshop{dir: t.TempDir(), log: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "a", "b", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if len(table.Rows) != 2 || table.Rows[0].Ratio != 1 || table.Rows[1].Wall <= 0 || table.Rounds != 2 {
		t.Errorf("rows %+v", table)
	}
	if want := []skip{{"c", "exit status 3: no such luck"}, {"d", "not here"}}; !slices.Equal(table.Skipped, want) {
		t.Errorf("skipped %q, want %q", table.Skipped, want)
	}
}

func TestFieldEndsWhenSomebodyFailsLater(t *testing.T) {
	want := errors.New("worn out")
	left := 2
	c := contender{name: "a", program: "/bin/true", command: always("/bin/true"), after: func() error {
		if left--; left == 0 {
			return want
		}
		return nil
	}}
	f := field{contenders: []contender{c}, rounds: 3, warmup: 1}
	if _, err := f.run(t.Context(), "test", options{rounds: -1, warmup: -1}, &workshop{dir: t.TempDir(), log: io.Discard}); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestChosen(t *testing.T) {
	for _, tc := range []struct {
		only string
		want bool
	}{{"", true}, {"crun", true}, {"cr", true}, {"runc,,crun", true}, {"runc", false}, {"runc,,bwrap", false}} {
		if got := chosen("crun, filtered", tc.only); got != tc.want {
			t.Errorf("-only %q: %v", tc.only, got)
		}
	}
}

func TestPeakIn(t *testing.T) {
	for status, want := range map[string]int64{
		"Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n": 2 << 20,
		"Name:\tzombie\nState:\tZ\n":                                      0,
		"Name:\tx\nVmHWM:\t many kB\n":                                    0,
		"":                                                                0,
	} {
		if got := peakIn(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}

func TestMeasure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	// The shell stays, so that dd is its child.
	s, err := measure(exec.CommandContext(t.Context(), "/bin/sh", "-c", "dd if=/dev/zero of="+file+" bs=4M count=1 2>/dev/null; sleep 0.05; true"), 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if s.wall <= 0 || s.own <= 0 || s.tree < s.own {
		t.Errorf("got %+v", s)
	}
	if _, err := measure(exec.CommandContext(t.Context(), "/bin/false"), 0); err == nil {
		t.Error("a command that failed was measured")
	}
}

func TestRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{nil, {"-json"}, {"stop"}, {"start", "-no-such-flag"}, {"pull", "-set", "none"}, {"pull", "more"}} {
		if err := bench(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

func TestInTurn(t *testing.T) {
	first := exec.CommandContext(t.Context(), "echo", "a b")
	second := exec.CommandContext(t.Context(), "echo", "c")
	cmd := inTurn(t.Context(), first, second)
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil || out.String() != "a b\nc\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
