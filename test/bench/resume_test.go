package main

import (
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

// TestKillAt kills a process that fetches without end, together with its child, once enough has been served.
func TestKillAt(t *testing.T) {
	image := small(t)
	r := serve(image, link{})
	defer r.stop()
	need.Tool(t, "curl")
	url := r.blobURL(image.Manifest.Layers[0].Digest)
	start := time.Now()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `curl -sfo /dev/null "$0"; curl -sfo /dev/null "$0"; sleep 30 & wait`, url)
	if err := killAt(cmd, r, image.Size()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	if served := r.served.Load(); served < image.Size() {
		t.Errorf("killed after %d bytes, before %d", served, image.Size())
	}
	again := exec.CommandContext(t.Context(), "curl", "-sfo", "/dev/null", url)
	if err := killAt(again, r, 2*image.Size()); !errors.Is(err, errTooFast) {
		t.Errorf("a pull that ended by itself: %v", err)
	}
}

func TestHerd(t *testing.T) {
	dir := t.TempDir()
	one := exec.CommandContext(t.Context(), "/bin/sh", "-c", `mktemp "$0/XXXXXX"`, dir)
	if out, err := herd(t.Context(), 7, one).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ls "$0" | wc -l`, dir).Output(); err != nil || string(out) != "7\n" {
		t.Errorf("%s ran, %v", out, err)
	}
	bad := exec.CommandContext(t.Context(), "/bin/sh", "-c", `mkdir "$0/one"`, dir)
	out, err := herd(t.Context(), 3, bad).CombinedOutput()
	if text := string(out); err == nil || tail(text) != "2 failed" {
		t.Errorf("two of three failed: %v, %q", err, text)
	}
}
