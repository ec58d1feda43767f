package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/host"
)

func create(t *testing.T, runs *Runs, run Run) *Writer {
	t.Helper()
	w, err := runs.Create(run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.close() })
	return w
}

// self is the owner of a record whose writer lives; dead the owner of one whose writer does not.
func self(t *testing.T) host.Owner {
	t.Helper()
	o, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func dead(t *testing.T) host.Owner {
	t.Helper()
	o := self(t)
	o.StartTime += 2
	return o
}

func TestRecordFromBeginToEnd(t *testing.T) {
	runs := Open(t.TempDir())
	run := Run{
		Name: "first", Image: Image{Ref: "docker.io/library/debian:12", Digest: "sha256:9f"}, Argv: []string{"true"},
		Supervisor: self(t), Host: Host{Hostname: "here"},
	}
	w := create(t, runs, run)
	v, err := runs.Get(w.ID())
	if err != nil {
		t.Fatal(err)
	}
	if v.State != Running || v.ExitCode != nil || v.Started != nil || v.Dir != w.Dir() {
		t.Errorf("while running: %+v", v)
	}

	if _, err := w.Log().Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	started := time.Now().Add(-time.Second)
	result := Result{Started: started, ExitCode: new(3), Cause: Exited, Totals: Totals{CPUSeconds: 1.5}, Peaks: Peaks{MemoryBytes: 1 << 20}}
	if err := w.Finish(result); err != nil {
		t.Fatal(err)
	}
	if v, err = runs.Get("last"); err != nil {
		t.Fatal(err)
	}
	if v.State != Ended || *v.ExitCode != 3 || v.Totals.CPUSeconds != 1.5 || v.Log.Bytes != 6 || !v.Started.Equal(started) {
		t.Errorf("after the end: %+v", v)
	}
	if err := w.Finish(result); !errors.Is(err, ErrFinished) {
		t.Errorf("finishing twice: %v", err)
	}
	if err := w.Event("late", nil); !errors.Is(err, ErrFinished) {
		t.Errorf("an event after the end: %v", err)
	}
}

// Scripts read these names.
func TestViewIsFlat(t *testing.T) {
	runs := Open(t.TempDir())
	w := create(t, runs, Run{Image: Image{Digest: "sha256:9f"}, Argv: []string{"python3", "x.py"}})
	if err := w.Finish(Result{ExitCode: new(0), Cause: Exited}); err != nil {
		t.Fatal(err)
	}
	v, err := runs.Get("last")
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var flat map[string]any
	if err := json.Unmarshal(data, &flat); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "state", "exit_code", "cause", "image", "argv", "totals", "peaks", "created", "finished", "dir", "schema"} {
		if _, ok := flat[name]; !ok {
			t.Errorf("no %s in %s", name, data)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	cut := map[string]string{
		"empty after a power cut": "", "torn": `{"schema": 1, "argv": ["py`, "not ours": "[]", "nul": "\x00\x00\x00",
		"newer": `{"schema": 99}`, "a wrong type": `{"schema": 1, "argv": 7, "message": 7}`,
	}
	for name, content := range cut {
		for _, file := range []string{"run.json", "result.json"} {
			if content == "" && file == "result.json" {
				continue // see TestPowerCut
			}
			t.Run(name+" "+file, func(t *testing.T) {
				runs := Open(t.TempDir())
				create(t, runs, Run{Name: "healthy"})
				w := create(t, runs, Run{})
				writeFile(t, filepath.Join(w.Dir(), file), content)
				list, err := runs.List(0)
				if err != nil || len(list) != 2 {
					t.Fatalf("one damaged record hides the others: %v, %v", list, err)
				}
				if list[0].State != Damaged || list[0].ID != w.ID() || list[0].Created.IsZero() {
					t.Errorf("got %+v", list[0])
				}
				for _, asked := range []string{w.ID(), "last"} {
					if _, err := runs.Get(asked); !errors.Is(err, ErrDamaged) {
						t.Errorf("Get %s: %v", asked, err)
					}
				}
				if v, err := runs.Get("healthy"); err != nil || v.Name != "healthy" {
					t.Errorf("the other: %v", err)
				}
			})
		}
	}
}

func TestListSkipsWhatIsNoRecord(t *testing.T) {
	data := t.TempDir()
	runs := Open(data)
	if list, err := runs.List(0); err != nil || len(list) != 0 {
		t.Errorf("no directory yet: %v, %v", list, err)
	}
	for _, name := range []string{"lost+found", ".nfs001", NewID(time.Now())} { // the last is only being made
		if err := os.MkdirAll(filepath.Join(data, "runs", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(data, "runs", "01BX5ZZKBKACTAV9WEVGEMMVRZ"), "a file")
	if list, err := runs.List(0); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
}

func TestGet(t *testing.T) {
	runs := Open(t.TempDir())
	ids := []string{"01K00000000000000000000001", "01K00000000000000000000012", "01K0000000ABCDEFGHJKMNPQRS"}
	names := []string{"resnet", "resnet", "01K"}
	for i, id := range ids {
		create(t, runs, Run{ID: id, Name: names[i]})
	}
	tests := []struct {
		asked, want string
		err         error
	}{
		{"last", ids[2], nil},
		{ids[0], ids[0], nil},
		{"01K0000000A", ids[2], nil},
		{"01k0000000abc", ids[2], nil},
		{"resnet", ids[1], nil},
		{"01K", ids[2], nil}, // a name that is given in full comes before shortened ids
		{"01K0000", "", ErrAmbiguous},
		{"", "", ErrNotFound},
		{"nothing", "", ErrNotFound},
		{"../runs", "", ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.asked, func(t *testing.T) {
			v, err := runs.Get(tt.asked)
			if !errors.Is(err, tt.err) || v.ID != tt.want {
				t.Errorf("got %q, %v; want %q, %v", v.ID, err, tt.want, tt.err)
			}
		})
	}
	_, err := runs.Get("01K0")
	if want := `run "01K0": more than one run fits: ` + ids[2] + ", " + ids[1] + ", " + ids[0]; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := Open(t.TempDir()).Get("last"); !errors.Is(err, ErrNotFound) {
		t.Errorf("last of none: %v", err)
	}
}

func TestShorten(t *testing.T) {
	ids := []string{"01K0000000ABCDEFGHJKMNPQRS", "01K0000000ABCDEFGHJKMNPQRT", "01K0000000X000000000000000", "01K0000001X000000000000000"}
	want := []string{"01K0000000ABCDEFGHJKMNPQRS", "01K0000000ABCDEFGHJKMNPQRT", "01K0000000X", "01K0000001"}
	got := Shorten(ids)
	for i := range ids {
		if got[ids[i]] != want[i] {
			t.Errorf("%s: %s, want %s", ids[i], got[ids[i]], want[i])
		}
	}
}

// Five thousand records are listed whole and in order; asking for ten reads ten.
func TestListOfThousands(t *testing.T) {
	data := t.TempDir()
	runs := Open(data)
	// All are links to one record: it is the number of directories that matters, and making files takes time.
	writeFile(t, filepath.Join(data, "run.json"), `{"schema": 1, "name": "same"}`)
	writeFile(t, filepath.Join(data, "result.json"), `{"schema": 1, "cause": "exited", "exit_code": 0}`)
	start := time.Now().Add(-time.Hour)
	ids := make([]string, 5000)
	for i := range ids {
		ids[i] = NewID(start.Add(time.Duration(i) * time.Millisecond))
		dir := filepath.Join(data, "runs", ids[i])
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"run.json", "result.json"} {
			if err := os.Link(filepath.Join(data, name), filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := runs.List(0)
	if err != nil || len(all) != len(ids) {
		t.Fatalf("%d, %v", len(all), err)
	}
	for i, v := range all {
		if v.ID != ids[len(ids)-1-i] || v.State != Ended {
			t.Fatalf("at %d: %s %s", i, v.ID, v.State)
		}
	}
	if ten, err := runs.List(10); err != nil || len(ten) != 10 || ten[9].ID != ids[len(ids)-10] {
		t.Errorf("%d, %v", len(ten), err)
	}
	if v, err := runs.Get(ids[0]); err != nil || v.ID != ids[0] {
		t.Errorf("the oldest: %v", err)
	}
}

func TestConcurrentRunsDoNotMeet(t *testing.T) {
	runs := Open(t.TempDir())
	var wg sync.WaitGroup
	for range 64 { // ranks that start in one second
		wg.Go(func() {
			w, err := runs.Create(Run{Name: "rank"})
			if err != nil {
				t.Error(err)
				return
			}
			if err := w.Finish(Result{Cause: Exited, ExitCode: new(0)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := runs.List(0); err != nil || len(list) != 64 {
		t.Errorf("%d, %v", len(list), err)
	}
}
