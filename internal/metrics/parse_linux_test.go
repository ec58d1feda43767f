package metrics

import (
	"math"
	"testing"

	"github.com/coracle-run/coracle/internal/proc"
)

func TestUsage(t *testing.T) {
	if u := usageOf(proc.Stat{User: 11, System: 12, ReapedUser: 13, ReapedSystem: 14}); u != (usage{user: 11, system: 12, reapedUser: 13, reapedSystem: 14}) {
		t.Errorf("%+v", u)
	}
}

func TestParseFiles(t *testing.T) {
	var u usage
	parseIO([]byte("rchar: 1\nwchar: 2\nsyscr: 9\nsyscw: 9\nread_bytes: 3\nwrite_bytes: 4\ncancelled_write_bytes: 5\n"), &u)
	if u != (usage{fileRead: 1, fileOut: 2, read: 3, written: 4, io: true}) {
		t.Errorf("io: %+v", u)
	}
	m := parseStatus([]byte("Name:\tRssAnon: 7\nVmHWM:\t    1700 kB\nRssAnon:\t      52 kB\nRssFile:\t    1648 kB\nRssShmem:\t       4 kB\nVmSwap:\t 8 kB\n"))
	if m != (memory{anon: 52 << 10, file: 1648 << 10, shmem: 4 << 10, swap: 8 << 10, most: 1700 << 10}) {
		t.Errorf("status: %+v", m)
	}
	m, ok := parseRollup([]byte("0-1 ---p 0 0:0 0 [rollup]\nRss: 9 kB\nPss: 6 kB\nPss_Anon: 1 kB\nPss_File: 2 kB\nPss_Shmem: 3 kB\n"))
	if !ok || m != (memory{anon: 1 << 10, file: 2 << 10, shmem: 3 << 10}) {
		t.Errorf("smaps_rollup: %+v", m)
	}
	if _, ok := parseRollup([]byte("Pss: 6 kB\n")); ok {
		t.Error("a smaps_rollup without kinds was taken")
	}
	if read, written := ioStat([]byte("8:0 rbytes=10 wbytes=20 rios=1\n254:0 rbytes=1 wbytes=2\n\n")); read != 11 || written != 22 {
		t.Errorf("io.stat: %v, %v", read, written)
	}
	if s, ok := pressure([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 total=1\n")); !ok || s != 2.5 {
		t.Errorf("pressure: %v, %v", s, ok)
	}
	in, out := interfaces([]byte("Inter-| Receive\n face |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  tap0:100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n eth1: 1 1 0 0 0 0 0 0 2 0 0\n"))
	if in != 101 || out != 202 {
		t.Errorf("net/dev: %v, %v", in, out)
	}
	if n, ok := parseNumber([]byte("max")); !ok || !math.IsInf(n, 1) {
		t.Errorf("max: %v, %v", n, ok)
	}
}

func TestDeficit(t *testing.T) {
	waited := func(n float64) usage { return usage{user: n} }
	for _, c := range []struct {
		name  string
		steps [][2]float64 // ticks of the vanished, growth of the living's accounts
		want  float64
	}{
		{"waited for at once", [][2]float64{{50, 50}, {0, 0}}, 0},
		{"waited for, with more that was never seen", [][2]float64{{50, 90}, {0, 0}}, 0},
		{"the parent was looked at first", [][2]float64{{50, 0}, {0, 50}, {0, 0}}, 0},
		{"nobody waited", [][2]float64{{50, 0}, {0, 0}}, 50},
		{"nobody waited for one of two", [][2]float64{{50, 20}, {0, 0}}, 30},
		{"nobody waited, twice", [][2]float64{{50, 0}, {40, 0}, {0, 0}}, 90},
		{"the last one is not settled yet", [][2]float64{{50, 0}}, 0},
	} {
		var d deficit
		for _, s := range c.steps {
			d.add(waited(s[0]), s[1])
		}
		if math.Abs(d.user-c.want) > 1e-9 || d.system != 0 {
			t.Errorf("%s: %v and %v, want %v", c.name, d.user, d.system, c.want)
		}
	}
}
