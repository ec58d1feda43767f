package integration_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStatsAreLive: of a job that has run for a moment, stats tells what it uses, before its record would have a line by itself.
func TestStatsAreLive(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	j := b.startJob(ref, "echo up; while :; do :; done", "--name", "busy")
	var list []struct {
		ID        string
		Cores     *float64 `json:"cpu_cores"`
		Memory    *float64 `json:"memory_bytes"`
		Processes *float64
	}
	const alone = 9. // seconds at least for which a line stands that nobody has asked for
	waitFor(t, "stats has a sample that was written because somebody looks", patience, func() error {
		if err := json.Unmarshal([]byte(b.ok("stats", "--json", "busy")), &list); err != nil || len(list) != 1 {
			t.Fatalf("%v: %+v", err, list)
		}
		if brief := b.briefestLine(list[0].ID); list[0].Cores == nil || brief >= alone {
			return fmt.Errorf("%+v, %v s", list[0], brief)
		}
		return nil
	})
	if s := list[0]; *s.Cores <= 0 || s.Memory == nil || *s.Memory <= 0 || s.Processes == nil || *s.Processes != 1 {
		t.Errorf("%+v", s)
	}
	j.signal(t, unix.SIGTERM)
	b.wait(j)
	if _, err := os.Stat(filepath.Join(b.root, "runs", list[0].ID, "watched")); !os.IsNotExist(err) {
		t.Errorf("the record of a run that has ended is still watched: %v", err)
	}
}

// briefestLine is the shortest time in seconds that a line of a run's series stands for; with no line, very long.
func (b *box) briefestLine(id string) float64 {
	b.t.Helper()
	before, brief := 0., math.Inf(1)
	for _, line := range b.series(id) {
		before, brief = line.T, min(brief, line.T-before)
	}
	return brief
}
