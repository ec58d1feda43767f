package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestLaterIsCounted runs a command that leaves a child working when it ends.
func TestLaterIsCounted(t *testing.T) {
	if err := adopt(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	script := `(sleep 0.1; dd if=/dev/urandom of="$0" bs=1M count=24 2>/dev/null; sleep 0.1) </dev/null >/dev/null 2>&1 &`
	start := time.Now()
	s, err := measure(exec.CommandContext(t.Context(), "/bin/sh", "-c", script, file), 0)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); s.later <= 0 || took < 200*time.Millisecond || s.wall >= took {
		t.Errorf("%+v after %v: the child was not waited for", s, took)
	}
}

func TestPatienceEnds(t *testing.T) {
	if err := adopt(); err != nil {
		t.Fatal(err)
	}
	if _, err := measure(exec.CommandContext(t.Context(), "/bin/sh", "-c", "sleep 1 </dev/null >/dev/null 2>&1 &"), 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	if _, _, err := lateComers(50 * time.Millisecond); err == nil {
		t.Error("a process that stays was waited for")
	}
}
