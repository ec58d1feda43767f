package integration_test

import (
	"encoding/json"
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
		Seconds   float64
		Cores     *float64 `json:"cpu_cores"`
		Memory    *float64 `json:"memory_bytes"`
		Processes *float64
	}
	const firstLine = 10 // seconds after the start, without stats
	for len(list) == 0 || list[0].Cores == nil && list[0].Seconds < firstLine {
		if err := json.Unmarshal([]byte(b.ok("stats", "--json", "busy")), &list); err != nil || len(list) != 1 {
			t.Fatalf("%v: %+v", err, list)
		}
	}
	if s := list[0]; s.Cores == nil || *s.Cores <= 0 || s.Memory == nil || *s.Memory <= 0 || s.Processes == nil || *s.Processes != 1 {
		t.Errorf("after %v s: %+v", s.Seconds, s)
	}
	j.signal(t, unix.SIGTERM)
	b.wait(j)
	if _, err := os.Stat(filepath.Join(b.root, "runs", list[0].ID, "watched")); !os.IsNotExist(err) {
		t.Errorf("the record of a run that has ended is still watched: %v", err)
	}
}
