package integration_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestLimitsOfAnOrdinaryUser: what this host does not let a user limit is told in one line, and the job runs; with
// --require-limits it does not. What it lets, holds.
func TestLimitsOfAnOrdinaryUser(t *testing.T) {
	b, ref := busybox(t)
	r := b.do("run", "-q", "--memory", "200m", "--cpus", "0.5", ref, "echo", "fine")
	if r.code != 0 || strings.TrimSpace(r.stdout) != "fine" {
		t.Fatalf("status %d, %q %q", r.code, r.stdout, r.stderr)
	}
	var run struct {
		Limits struct {
			Requested map[string]string `json:"requested"`
			Enforced  []struct{ Limit, Mechanism string }
			Missing   []struct{ Limit, Why string }
		} `json:"limits"`
	}
	if err := json.Unmarshal([]byte(b.ok("runs", "show", "last", "--json")), &run); err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, e := range run.Limits.Enforced {
		told[e.Limit] = e.Mechanism != ""
	}
	for _, m := range run.Limits.Missing {
		told[m.Limit] = m.Why != ""
	}
	if !told["memory"] || !told["cpus"] || run.Limits.Requested["memory"] != "209715200" || run.Limits.Requested["cpus"] != "0.5" {
		t.Errorf("%+v", run.Limits)
	}
	lines := strings.Count(r.stderr, "not enforced: ")
	required := b.do("run", "-q", "--require-limits", "--memory", "200m", "--cpus", "0.5", ref, "echo", "fine")
	if len(run.Limits.Missing) == 0 {
		if lines != 0 || required.code != 0 {
			t.Errorf("all is enforced: %q; required: status %d, %q", r.stderr, required.code, required.stderr)
		}
		return
	}
	if lines != 1 || !strings.Contains(r.stderr, "ask ") || strings.Count(strings.TrimSpace(r.stderr), "\n") != 0 {
		t.Errorf("what is missing is told so: %q", r.stderr)
	}
	if required.code != 125 || required.stdout != "" || !strings.Contains(required.stderr, "--require-limits: not enforced: ") {
		t.Errorf("required: status %d, %q %q", required.code, required.stdout, required.stderr)
	}
}
