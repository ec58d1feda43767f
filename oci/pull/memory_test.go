package pull

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/coracle-run/coracle/oci/inflate"
)

func TestDivide(t *testing.T) {
	for _, c := range []struct {
		budget  int64
		layers  int
		atOnce  int
		window  int64 // at least
		allowed int64 // sum of all parts, at most
	}{
		{0, 2, 2, 128 << 20, 96 << 20},
		{0, 64, 10, 128 << 20, 96 << 20},
		{48 << 20, 2, 2, 4 << 20, 48 << 20}, // and 8 MiB, the usual one of zstd, when others wait
		{48 << 20, 16, 4, 1 << 20, 48 << 20},
		{32 << 20, 8, 1, 1 << 20, 32 << 20},
		{1, 8, 1, 1 << 20, 32 << 20}, // less than that there is not
		{1 << 30, 8, 8, 64 << 20, 1 << 30},
	} {
		m := divide(c.budget, c.layers)
		if m.layers < c.atOnce || m.layers > c.layers || m.window < c.window || m.queue < minQueue || m.connections < 2 {
			t.Errorf("%d MiB for %d layers: %+v", c.budget>>20, c.layers, m)
		}
		window := m.window
		if c.budget == 0 {
			window = 0 // is not counted
		}
		sum := int64(programMemory+fixedMemory) + int64(m.connections)*connectionMemory +
			int64(m.layers)*(window+m.unpack+int64(pipeChunks(m.queue))*inflate.ChunkMemory)
		if sum > c.allowed {
			t.Errorf("%d MiB for %d layers: %+v is %d MiB", c.budget>>20, c.layers, m, sum>>20)
		}
	}
}

func TestTooWideSaysWhatWouldDo(t *testing.T) {
	m := divide(48<<20, 2)
	e, ok := m.tooWide(64 << 20).(*MemoryError) //nolint:errorlint // not wrapped
	if !ok || divide(e.Least, 2).allWindows() < 64<<20 || divide(e.Least-16<<20, 2).allWindows() >= 64<<20 {
		t.Errorf("%+v", e)
	}
}

func TestPace(t *testing.T) {
	beats := func(p *pace, n int, starving bool, rate func(limit int) float64) {
		for range n {
			p.tick(rate(p.limit), starving)
		}
	}
	each := func(limit int) float64 { return float64(limit) } // each connection has a share of its own
	all := func(int) float64 { return 10 }                    // the line is full
	p := newPace()
	if beats(&p, 1000, false, each); p.limit != firstConnections {
		t.Errorf("%d connections though nobody waits", p.limit)
	}
	if beats(&p, 40, true, each); p.limit != maxConnections {
		t.Errorf("%d connections though more help", p.limit)
	}
	p.throttled()
	if p.throttled(); p.limit != maxConnections/4 {
		t.Errorf("%d connections after the registry has complained twice", p.limit)
	}
	for range 9 {
		p.throttled()
	}
	if p.limit != 1 {
		t.Errorf("%d connections", p.limit)
	}
	p = newPace()
	beats(&p, 40, false, all)
	if beats(&p, 20, true, all); p.limit != firstConnections {
		t.Errorf("%d connections though more do not help", p.limit)
	}
}

// A window above a layer's share waits for the others', and one that is above all of them is refused.
func TestWindowsShareTheBudget(t *testing.T) {
	m := divide(48<<20, 2)
	if m.allWindows() < 8<<20 {
		t.Fatalf("%d bytes for windows", m.allWindows())
	}
	_, release, err := m.reserveWindow(t.Context(), 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := m.reserveWindow(ctx, 8<<20); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two large windows at once: %v", err)
	}
	release()
	most, release, err := m.reserveWindow(t.Context(), 0)
	if err != nil || most != m.window {
		t.Errorf("a window that is not told: %d, %v", most, err)
	}
	release()
	if _, _, err := m.reserveWindow(t.Context(), m.allWindows()+1); !errors.Is(err, ErrMemory) {
		t.Errorf("a window that is too large: %v", err)
	}
}
