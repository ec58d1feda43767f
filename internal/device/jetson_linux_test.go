package device

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// helperThat is a helper that answers every request with one line.
func helperThat(t *testing.T, answer string) *gpu.Helper {
	t.Helper()
	path := filepath.Join(t.TempDir(), gpu.HelperName)
	script := "#!/bin/sh\nwhile read -r line; do echo '" + answer + "'; done\n"
	need.Program(t, path, script)
	h, err := gpu.Open(t.Context(), gpu.Place{Helper: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// TestJetson: a board's GPU is used by the board's own software, whether NVML knows it or not; elsewhere nothing changes.
func TestJetson(t *testing.T) {
	const (
		none  = `{"protocol":1,"failure":{"kind":"no-driver","message":"no libnvidia-ml.so.1"}}`
		one   = `{"protocol":1,"inventory":{"driver":"540.4","gpus":[{"index":0,"uuid":"GPU-1","name":"Orin (nvgpu)"}]}}`
		cards = `{"protocol":1,"inventory":{"driver":"570.1","gpus":[{"index":0,"uuid":"GPU-1"},{"index":1,"uuid":"GPU-2"}]}}`
	)
	board := t.TempDir()
	load := filepath.Join(board, "sys/devices/platform/gpu.0/load")
	if err := errors.Join(os.MkdirAll(filepath.Dir(load), 0o755), os.WriteFile(load, []byte("0\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, root, answer string
		jetson, board      bool
		want               error
	}{
		{"an old board", board, none, true, true, nil},
		{"a new board", board, one, true, false, nil},
		{"a board with cards", board, cards, false, false, nil},
		{"no driver", t.TempDir(), none, false, false, gpu.ErrNoDriver},
		{"a card", t.TempDir(), one, false, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &gpus{helper: helperThat(t, c.answer), asked: Request{Files: sysfs.Tree{Root: c.root}}, done: make(chan struct{})}
			if err := g.list(t.Context()); !errors.Is(err, c.want) || g.jetson != c.jetson || (g.board != nil) != c.board {
				t.Fatalf("%v, Jetson %t, board %v", err, g.jetson, g.board)
			}
			close(g.done)
			if !c.board {
				return
			}
			chosen, _, err := gpu.Selection{All: true}.Choose(g.inventory, gpu.Scope{})
			if err != nil || len(chosen) != 1 || chosen[0].UUID() != "SOC-gpu.0" {
				t.Errorf("%+v, %v", chosen, err)
			}
			d := Devices{gpus: g, asked: g.asked}
			if list, driver := g.records(); len(list) > 0 || driver != nil {
				t.Errorf("%+v, %+v", list, driver)
			}
			if filed := d.filed(); len(filed) != 1 || filed[0].Vendor != sysfs.NVIDIA {
				t.Errorf("%+v", filed)
			}
		})
	}
}
