package record

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

func TestLostRuns(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: dead(t), Argv: []string{"train"}})
	if _, err := w.Log().Write([]byte("last words\n")); err != nil {
		t.Fatal(err)
	}
	check := func(when string) View {
		t.Helper()
		v, err := runs.Get("last")
		if err != nil {
			t.Fatal(err)
		}
		if v.State != Gone || v.Cause != Lost || v.ExitCode != nil || v.Message == "" {
			t.Errorf("%s: %+v", when, v)
		}
		return v
	}
	restore := fsx.InjectFaults(func(_, _ string) error { return errors.New("read-only file system") })
	v := check("where nothing can be written")
	restore()
	if v.Finished == nil || v.Finished.Before(v.Created) {
		t.Errorf("finished %v, created %v", v.Finished, v.Created)
	}
	if result, err := readResult(w.Dir()); result != nil || err != nil {
		t.Fatalf("closed, which it cannot be: %v, %v", result, err)
	}
	check("by the reader that closes it")
	if result, err := readResult(w.Dir()); err != nil || result == nil || result.Cause != Lost || result.ID != w.ID() {
		t.Fatalf("the reader has not closed it: %+v, %v", result, err)
	}
	v = check("closed")
	if v.Finished.Before(v.Created) || v.Log.Kept != 11 {
		t.Errorf("finished %v, created %v, log %+v", v.Finished, v.Created, v.Log)
	}
	if err := MarkLost(w.Dir()); !errors.Is(err, ErrFinished) {
		t.Errorf("closing again: %v", err)
	}
}

// Whoever can write a lease can name any record in it: one whose own supervisor lives, or is of another host, is not closed.
func TestARunThatGoesOnIsNotLost(t *testing.T) {
	far := dead(t)
	far.Host, far.BootID = "gpu07", "another"
	for name, supervisor := range map[string]host.Owner{"alive": self(t), "on another host": far} {
		runs := Open(t.TempDir())
		w := create(t, runs, Run{Supervisor: supervisor})
		if err := MarkLost(w.Dir()); !errors.Is(err, ErrRunning) {
			t.Errorf("%s: %v", name, err)
		}
		if v, err := runs.Get(w.ID()); err != nil || v.State != Running {
			t.Errorf("%s: %v %v", name, v.State, err)
		}
	}
}

// What was known of a lost run is told: since when it ran, what it had used, and what it had said of its training.
func TestWhatIsKnownOfALostRun(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: dead(t)})
	if err := w.Event("started", nil); err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string]string{
		SystemFile: `{"schema":1,"sources":{"cpu_seconds":"proc","memory_bytes":"proc","gpus.0":"nvml","gpus.0.energy_joules":"power"}}
{"t":10,"samples":10,"cpu_seconds":9.5,"memory_bytes":[1000,5000],"read_bytes":4096,"gpus":[{"index":0,"utilization":[0.5,1],"memory_bytes":[1000,2000],"energy_joules":700}]}
{"t":40,"samples":10,"cpu_seconds":19.25,"memory_bytes":[900,1000.4],"cpu_cores":[0.9,1.1],"gpus":[{"index":0,"utilization":[0.1,0.2],"memory_bytes":[900,1000],"energy_joules":900,"throttled_seconds":{"sw_power_cap":3}},{"index":1,"memory_bytes":[5,9000]}]}
what is no line
{"t":30,"samples":10,"cpu_seconds":99`,
		MetricsFile: `{"t":1,"source":"file","step":1,"values":{"loss":2.5,"eval.accuracy":"NaN"}}
{"t":2,"source":"file","step":2,"values":{"loss":0.5}}
{"t":3,"source":"file","step":3,"values":{"lo`,
	} {
		writeFile(t, filepath.Join(w.Dir(), name), lines)
	}
	for _, when := range []string{"closing", "closed"} {
		v, err := runs.Get("last")
		if err != nil || v.State != Gone || v.Started == nil || v.Totals == nil || v.Peaks == nil {
			t.Fatalf("%s: %+v, %v", when, v, err)
		}
		if v.Totals.CPUSeconds != 19.25 || *v.Totals.ReadBytes != 4096 || v.Peaks.MemoryBytes != 5000 || *v.Peaks.CPUCores != 1.1 || v.Totals.WriteBytes != nil {
			t.Errorf("%s: %+v %+v", when, v.Totals, v.Peaks)
		}
		if v.Sources["totals.cpu_seconds"] != "proc" || v.Sources["peaks.memory_bytes"] != "proc" || v.Sources["gpu_use.0.utilization"] != "nvml" || v.Sources["gpu_use.0.energy_joules"] != "power" || len(v.Sources) != 2+4 {
			t.Errorf("%s: %v", when, v.Sources)
		}
		if g := v.GPUUse["0"]; len(v.GPUUse) != 2 || math.Abs(g.Utilization.Mean-0.2) > 1e-9 || g.Utilization.Max != 1 || *g.MemoryBytes != 2000 || *g.EnergyJoules != 900 || g.PowerWatts != nil || g.Throttled["sw_power_cap"] != 3 || g.Seconds != 40 {
			t.Errorf("%s: %+v", when, v.GPUUse)
		}
		if *v.Totals.GPUEnergyJoules != 900 || *v.Peaks.GPUMemoryBytes != 9000 {
			t.Errorf("%s: %+v %+v", when, v.Totals, v.Peaks)
		}
		if loss := v.Metrics["loss"]; loss.Last != 0.5 || loss.First != 2.5 || loss.Count != 2 || *loss.Step != 2 || v.Metrics["eval.accuracy"].Count != 1 || len(v.Metrics) != 2 {
			t.Errorf("%s: %+v", when, v.Metrics)
		}
	}
}

// A power cut can leave the name of a result that had not reached the disk, with nothing in it. What that means is for the
// supervisor to say: a dead one has left no result; one that lives, or whose life nobody here can know of, still runs. It is
// never damaged, and never hides the other records.
func TestPowerCut(t *testing.T) {
	far := dead(t)
	far.Host, far.BootID = "gpu07", "another"
	for _, c := range []struct {
		name       string
		supervisor host.Owner
		state      State
		left       Cause // that is in the result afterwards; "": it is as it was
	}{
		{"dead", dead(t), Gone, Lost},
		{"alive", self(t), Running, ""},
		{"on another host", far, Running, ""},
		{"not known", host.Owner{}, Running, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := Open(t.TempDir())
			create(t, runs, Run{Name: "healthy"})
			w := create(t, runs, Run{Supervisor: c.supervisor})
			writeFile(t, resultPath(w.Dir()), "")
			for _, when := range []string{"found", "found again"} {
				list, err := runs.List(0)
				if err != nil || len(list) != 2 || list[0].ID != w.ID() || list[0].State != c.state || list[0].Created.IsZero() {
					t.Fatalf("%s in a list: %+v, %v", when, list, err)
				}
				for _, asked := range []string{w.ID(), "last"} {
					if v, err := runs.Get(asked); err != nil || v.State != c.state || v.Cause != c.left || (v.Finished == nil) != (c.state == Running) {
						t.Errorf("%s by %s: %v %v, %v", when, asked, v.State, v.Cause, err)
					}
				}
				if v, err := runs.Get("healthy"); err != nil || v.Name != "healthy" {
					t.Errorf("%s: the other: %v", when, err)
				}
			}
			result, err := readResult(w.Dir())
			if err != nil || (result == nil) != (c.left == "") || result != nil && result.Cause != c.left {
				t.Errorf("left: %+v, %v", result, err)
			}
			if c.left != "" {
				return
			}
			if err := w.Finish(Result{Cause: Exited, ExitCode: new(3)}); err != nil {
				t.Fatal(err)
			}
			if v, err := runs.Get("last"); err != nil || v.State != Ended || *v.ExitCode != 3 {
				t.Errorf("after its own end: %+v, %v", v, err)
			}
		})
	}
}

// The same of a result that was there whole before.
func TestPowerCutAfterTheEnd(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: dead(t)})
	if err := w.Finish(Result{Cause: Exited, ExitCode: new(0)}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(resultPath(w.Dir()), 0); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"found", "closed"} {
		if v, err := runs.Get("last"); err != nil || v.State != Gone {
			t.Errorf("%s: %v, %v", when, v.State, err)
		}
	}
	if result, err := readResult(w.Dir()); err != nil || result == nil || result.Cause != Lost {
		t.Errorf("it was not closed: %+v, %v", result, err)
	}
}

// Where the host has been restarted since, that is why; else somebody killed the supervisor.
func TestWhyARunWasLost(t *testing.T) {
	restarted := self(t)
	restarted.BootID = "before"
	for says, supervisor := range map[string]host.Owner{"restarted": restarted, "killed": dead(t)} {
		runs := Open(t.TempDir())
		create(t, runs, Run{Supervisor: supervisor})
		v, err := runs.Get("last")
		if err != nil || v.State != Gone || !strings.Contains(v.Message, says) || v.Advice == "" {
			t.Errorf("%s: %v: %q %q, %v", says, v.State, v.Message, v.Advice, err)
		}
	}
}

func TestOwnerOnAnotherHostIsNotCalledLost(t *testing.T) {
	runs := Open(t.TempDir())
	o := dead(t)
	o.Host, o.BootID = "gpu07", "another"
	create(t, runs, Run{Supervisor: o})
	if v, err := runs.Get("last"); err != nil || v.State != Running {
		t.Errorf("%v, %v", v.State, err)
	}
}

// Readers that meet a dead run at one time all say the same, and leave one result.
func TestReadersRaceToCloseALostRun(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Supervisor: dead(t)})
	if _, err := w.Log().Write([]byte("last words\n")); err != nil {
		t.Fatal(err)
	}
	want := lastSign(w.Dir(), w.Run().Created)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			v, err := runs.Get("last")
			if err != nil || v.State != Gone || v.Cause != Lost || !v.Finished.Equal(want) || v.Log.Kept != 11 {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	wg.Wait()
	if names := logNames(t, w.Dir()); len(names) != 4 {
		t.Errorf("files: %v", names)
	}
}

// A run may end between the look for its result and the look at its supervisor: its result stands.
func TestLateResultIsNotOverwritten(t *testing.T) {
	w := create(t, Open(t.TempDir()), Run{Supervisor: dead(t)})
	if err := w.Finish(Result{Cause: Exited, ExitCode: new(0)}); err != nil {
		t.Fatal(err)
	}
	result, err := end(w.Dir(), w.Run())
	if err != nil || result.Cause != Exited {
		t.Errorf("%+v, %v", result, err)
	}
}

// Who only looks for runs that were lost closes no record.
func TestDeserted(t *testing.T) {
	runs := Open(t.TempDir())
	create(t, runs, Run{Supervisor: self(t)})
	ended(t, runs, Run{Supervisor: dead(t)}, 0)
	lost := create(t, runs, Run{Supervisor: dead(t)})
	damaged := create(t, runs, Run{Supervisor: dead(t)})
	writeFile(t, filepath.Join(damaged.Dir(), runFile), "{")
	for range 2 {
		got, err := runs.Deserted()
		if err != nil || len(got) != 1 || got[0] != lost.ID() {
			t.Errorf("Deserted() = %q, %v", got, err)
		}
	}
	if err := MarkLost(runs.Dir(lost.ID())); err != nil {
		t.Fatal(err)
	}
	if got, err := runs.Deserted(); err != nil || len(got) != 0 {
		t.Errorf("closed: %q, %v", got, err)
	}
}
