package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func samples(own int64, walls ...int) (s []sample) {
	for _, ms := range walls {
		wall := time.Duration(ms) * time.Millisecond
		s = append(s, sample{wall: wall, user: wall / 2, own: own, tree: 2 * own, written: 3_000_000})
	}
	return s
}

func TestRow(t *testing.T) {
	timed := samples(0, 10, 30, 20)
	r := newRow("x", timed, append(timed, samples(5<<20, 900)...))
	want := row{Name: "x", Wall: 20, P90: 30, Min: 10, User: 10, CPU: 10, Own: 5 << 20, Tree: 10 << 20, Written: 3_000_000}
	if r != want {
		t.Errorf("got %+v, want %+v: a watched round may not count in times, nor a timed one in memory", r, want)
	}
}

func TestCompare(t *testing.T) {
	table := table{Reference: "b", Rows: []row{{Name: "a", Wall: 30, CPU: 10}, {Name: "b", Wall: 20, CPU: 40}}}
	table.compare()
	if table.Rows[0].CPURatio != 0.25 || table.Rows[1].CPURatio != 1 {
		t.Errorf("ratios of CPU %v and %v, want 0.25 and 1", table.Rows[0].CPURatio, table.Rows[1].CPURatio)
	}
	if table.Rows[0].Ratio != 1.5 || table.Rows[1].Ratio != 1 {
		t.Errorf("ratios %v and %v, want 1.5 and 1", table.Rows[0].Ratio, table.Rows[1].Ratio)
	}
	table.Peer, table.Content = "a", 40
	table.Rows[1].Written = 50
	table.compare()
	if r := table.Rows[1]; r.PeerRatio < 0.66 || r.PeerRatio > 0.67 || r.WrittenRatio != 1.25 {
		t.Errorf("%+v, want 2/3 of the peer's time and 1.25 of the content written", r)
	}
	table.Reference = "absent"
	table.compare()
	if table.Rows[0].Ratio != 0 {
		t.Errorf("a ratio to nobody: %v", table.Rows[0].Ratio)
	}
}

func TestReport(t *testing.T) {
	r := report{Machine: "a machine", Tables: []table{{
		Name: "start", Subject: "`true`", Rounds: 2, Reference: "crun", columns: startColumns,
		Rows:    []row{{Name: "crun", Wall: 17.25, P90: 20, Min: 16, Ratio: 1, Own: 3 << 20, Tree: 4 << 20}, {Name: "podman", Wall: 1234, Written: 5_000_000}},
		Skipped: []skip{{"runc", "not here"}},
	}, {
		Name: "pull", Subject: "an image", Rounds: 1, columns: pullColumns,
		Rows: []row{{Name: "tar", Wall: 1500, User: 1000, System: 250, Ratio: 1, Served: 9_000_000}},
	}}}
	text := r.text()
	for _, want := range []string{
		"a machine\n\nstart: `true`\n(2 interleaved rounds)\n\n",
		"\ncrun         17.2  20.0  16.0   1.00",
		"\npodman       1234   0.0   0.0      -",
		"\nskipped runc: not here\n",
		"\ntar      1.50  0.00  0.00   1.00          -   1.25  1.00    0.25   0.00    -           -      -        -          9\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	var back report
	if err := json.Unmarshal([]byte(r.json()), &back); err != nil || back.Tables[0].Rows[0] != r.Tables[0].Rows[0] {
		t.Errorf("JSON gives back %+v, %v", back, err)
	}
}
