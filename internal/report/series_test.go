package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/record"
)

func TestFold(t *testing.T) {
	for _, n := range []int{0, 1, 99, 100, 101, 1000, 123457} {
		f := newFold("x", 100)
		sum := 0.0
		for i := range n {
			v := math.Sin(float64(i) / 50)
			sum += v
			f.add(Point{T: float64(i), Mean: v, Min: v, Max: v, Step: float64(i)})
		}
		got := f.series
		if len(got.Points) > 100 || n <= 100 && len(got.Points) != n || n > 1000 && len(got.Points) < 50 || got.Count != int64(n) {
			t.Errorf("%d points: %d kept, %d counted", n, len(got.Points), got.Count)
		}
		mean, weight := 0.0, 0.0
		last := -1.0
		for _, p := range got.Points {
			mean, weight = mean+p.Mean*p.n, weight+p.n
			if p.T <= last || p.Min > p.Mean || p.Max < p.Mean {
				t.Fatalf("%d points: %+v after %v", n, p, last)
			}
			last = p.T
		}
		if weight != float64(n) || n > 0 && math.Abs(mean-sum) > 1e-6*float64(n) {
			t.Errorf("%d points: weight %v, sum %v of %v", n, weight, mean, sum)
		}
		if n > 0 && (last != float64(n-1) || got.Points[len(got.Points)-1].Step != float64(n-1)) {
			t.Errorf("%d points: the last is at %v", n, last)
		}
	}
}

// Time that runs backwards, and numbers that are none, are no reason to fail.
func TestFoldOddities(t *testing.T) {
	f := newFold("x", 10)
	for _, p := range []Point{{T: 5, Mean: 1}, {T: 2, Mean: 2}, {T: -3, Mean: 3}, {T: math.NaN(), Mean: 4}, {T: 6, Mean: math.Inf(1)}, {T: 1e18, Mean: 5}} {
		f.add(p)
	}
	if got := f.series; got.Count != 6 || len(got.Points) != 2 || got.Points[0].T != 5 || got.Points[1].T != 1e18 {
		t.Errorf("%+v", f.series)
	}
}

// dir makes a directory of files.
func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	at := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

func TestRead(t *testing.T) {
	long := `{"t":1,"values":{"` + strings.Repeat("x", 2*lineMost) + `":1}}` + "\n"
	v := record.View{Dir: dir(t, map[string]string{
		record.MetricsFile: `{"t":1,"source":"file","step":1,"values":{"loss":2,"acc":"NaN"}}
nonsense
` + long + `{"t":2.5,"source":"file","values":{"loss":"-Infinity","acc":0.5}}
{"t":3,"source":"file","step":3,"values":{"loss":1}}
{"t":4,"step":4,"val`,
		record.SystemFile: `{"schema":1,"sources":{"cpu_seconds":"proc"}}
{"t":10,"samples":10,"cpu_seconds":5,"file_read_bytes":1000,"pressure_io_seconds":1,"memory_bytes":[100,200],"cpu_cores":[0.5,1],"swap_bytes":[0,0]}
{"t":20,"samples":10,"cpu_seconds":15,"file_read_bytes":3000,"pressure_io_seconds":6,"memory_bytes":[300,400],"cpu_cores":[1,2],"swap_bytes":[0,0],"gpus":[{"index":0,"utilization":[0.5,1],"memory_bytes":[5,9],"power_watts":[100,200],"celsius":[1,2],"energy_joules":7}]}
{"t":"x"}
`,
		"output.log": "one\ntwo\n 5%\r 10%\r\x1b[31mdone\x1b[0m\nlast",
	})}
	r, err := Read(v, 100, 3)
	if err != nil {
		t.Fatal(err)
	}
	if r.Unread != 3 {
		t.Errorf("%d lines could not be read, want 3", r.Unread)
	}
	var got []string
	for _, s := range r.Training {
		got = append(got, fmt.Sprintf("%s %d %d", s.Name, s.Count, len(s.Points)))
	}
	for _, c := range r.System {
		for _, l := range c.Lines {
			p := l.Points[len(l.Points)-1]
			got = append(got, fmt.Sprintf("%s %s %v %v %v", c.Title, l.Name, p.T, p.Mean, p.Max))
		}
	}
	want := []string{
		"acc 2 1", "loss 3 2", "CPU busy 20 1 2", "Memory in use 20 300 400", "Reads and writes read 20 200 200", "Waiting for I/O 20 50 50",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Now["cpu_seconds"] != 15 || r.Most["memory_bytes"] != 400 || r.End != 20 || len(r.GPUs) != 1 {
		t.Errorf("now %v, most %v, end %v, GPUs %v", r.Now, r.Most, r.End, r.GPUs)
	}
	if g := r.GPUs[0]; g.Use.Utilization.Mean != 0.5 || *g.Use.MemoryBytes != 9 || g.Use.PowerWatts.Mean != 100 || *g.Use.EnergyJoules != 7 || g.Use.TensorActive != nil || g.Now["celsius"] != 1 {
		t.Errorf("the GPU: %+v", g)
	}
	if got := strings.Join(r.Tail, "|"); got != "two|done|last" {
		t.Errorf("the output ends with %q", got)
	}
}

func TestReadNothing(t *testing.T) {
	r, err := Read(record.View{Dir: t.TempDir()}, 10, 10)
	if err != nil || len(r.Training)+len(r.System)+len(r.Tail) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Points of which none are asked for become one: whoever wants none reads no longer than others.
func TestFoldOfNone(t *testing.T) {
	f := newFold("", 0)
	for i := range 1000 {
		f.add(Point{T: float64(i), Mean: 1})
	}
	if n := len(f.series.Points); n != 1 {
		t.Errorf("%d points", n)
	}
}
