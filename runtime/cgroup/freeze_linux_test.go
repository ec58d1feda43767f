package cgroup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// freezer is a kernel that freezes a moment after it was told to.
type freezer struct {
	linux
	t   *testing.T
	dir string
}

func (k freezer) write(path, value string) error {
	if path != filepath.Join(k.dir, "cgroup.freeze") {
		k.t.Errorf("writing to %s", path)
	}
	if value == "1" {
		time.AfterFunc(5*time.Millisecond, func() { k.events(value) })
	}
	return nil
}

func (k freezer) events(frozen string) {
	if err := os.WriteFile(filepath.Join(k.dir, "cgroup.events"), []byte("populated 1\nfrozen "+frozen+"\n"), 0o600); err != nil {
		k.t.Error(err)
	}
}

func TestFreeze(t *testing.T) {
	dir := t.TempDir()
	k := freezer{t: t, dir: dir}
	k.events("0")
	g := &Group{unified: dir, kernel: k}
	if g.Freezes() {
		t.Error("a kernel without the file freezes")
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.freeze"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !g.Freezes() {
		t.Error("a kernel with the file does not freeze")
	}
	if err := g.Freeze(t.Context()); err != nil {
		t.Error(err)
	}
	if got := read(dir + "/cgroup.events"); got != "populated 1\nfrozen 1" {
		t.Errorf("it has not waited: %q", got)
	}
	if err := g.Thaw(); err != nil {
		t.Error(err)
	}
	var none *Group
	if none.Freezes() || (&Group{v1: map[string]string{"memory": dir}}).Freezes() {
		t.Error("what has no group of version 2 freezes")
	}
}

// TestFreezeGivesUp: a process that waits for a disk may take long.
func TestFreezeGivesUp(t *testing.T) {
	g := &Group{unified: t.TempDir(), kernel: deaf{}}
	why := errors.New("no longer")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, why)
	defer cancel()
	if err := g.Freeze(ctx); !errors.Is(err, why) {
		t.Errorf("error: %v", err)
	}
}

// deaf is a kernel that takes everything and does nothing.
type deaf struct{ linux }

func (deaf) write(string, string) error { return nil }
