package record

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// many makes so many records of runs that have ended.
func many(t *testing.T, n int) *Runs {
	t.Helper()
	was := racy
	racy = 0 // the clock of the tests' file system counts finer
	t.Cleanup(func() { racy = was })
	runs := Open(t.TempDir())
	for i := range n {
		ended(t, runs, Run{
			Name: fmt.Sprint("run-", i%(n-1)), Project: "p", Labels: map[string]string{"lr": fmt.Sprint(i % 3), "empty": ""}, Argv: []string{"train", "", "--seed=" + fmt.Sprint(i)},
			Image: Image{Ref: "docker.io/library/debian:12", Digest: "sha256:9f"}, Supervisor: self(t), Host: Host{Hostname: "here"},
		}, i%2)
	}
	return runs
}

func ended(t *testing.T, runs *Runs, run Run, code int) *Writer {
	t.Helper()
	w := create(t, runs, run)
	if err := w.Finish(Result{Cause: Exited, ExitCode: &code, Wall: 0.25, Signal: "SIGHUP"}); err != nil {
		t.Fatal(err)
	}
	return w
}

// shown is what a list shows of records: briefFields.
func shown(views []View) (rows []string) {
	for _, v := range views {
		if v.ID == "" {
			continue
		}
		var row []string
		for _, name := range append(briefFields[:len(briefFields):len(briefFields)], "labels.lr", "labels.empty") {
			row = append(row, fmt.Sprintf("%s=%#v", name, Field(v, name)))
		}
		rows = append(rows, strings.Join(row, " "))
	}
	return rows
}

// sameLists fails the test unless a brief list shows what a full one does.
func sameLists(t *testing.T, runs *Runs, when string) {
	t.Helper()
	full, err := runs.Select(Selection{})
	if err != nil {
		t.Fatal(err)
	}
	brief, err := runs.Select(Selection{Brief: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(brief), shown(full); !slices.Equal(got, want) {
		t.Errorf("%s: brief\n%s\nfull\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// indexAll lists until all but some records are in the index: those that have just changed are not.
func indexAll(t *testing.T, runs *Runs, all int) string {
	t.Helper()
	path, err := runs.indexFile()
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		sameLists(t, runs, "while it is made")
		if len(runs.readIndex()) == all {
			return path
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the index has %d entries of %d", len(runs.readIndex()), all)
	return ""
}

func TestListsByTheIndex(t *testing.T) {
	runs := many(t, 40)
	indexAll(t, runs, 40)
	sameLists(t, runs, "indexed")
	// That it is the index which is asked shows in what it cannot see: a file that somebody has written into.
	ids, err := runs.IDs()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(runs.dir, ids[3], runFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(bytes.Replace(raw, []byte("debian"), []byte("DEBIAN"), 1), 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Selection{
		"all": {Brief: true}, "filter": {Brief: true, Filters: []Filter{filter(t, "label=empty")}}, "sort": {Brief: true, Sort: "-created", Limit: 10},
	} {
		list, err := runs.Select(s)
		if err != nil || len(list) < 10 || list[3].Image.Ref != "docker.io/library/debian:12" {
			t.Errorf("%s is not by the index: %d, %v", name, len(list), err)
		}
	}
	for name, s := range map[string]Selection{
		"in full": {}, "filter": {Brief: true, Filters: []Filter{filter(t, "network!=x")}}, "sort": {Brief: true, Sort: "cwd"}, "newest": {Brief: true, Limit: 4},
	} {
		list, err := runs.Select(s)
		if err != nil || len(list) < 4 || list[3].Image.Ref != "docker.io/library/DEBIAN:12" {
			t.Errorf("%s is by the index: %d, %v", name, len(list), err)
		}
	}
	if v, err := runs.Get(list3Name(t, runs, ids[3])); err != nil || v.ID != ids[3] || v.Image.Ref != "docker.io/library/DEBIAN:12" {
		t.Errorf("a record that is asked for is not read: %+v, %v", v.Image, err)
	}
}

func filter(t *testing.T, text string) Filter {
	t.Helper()
	f, err := ParseFilter(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func list3Name(t *testing.T, runs *Runs, id string) string {
	t.Helper()
	v, err := runs.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	return v.Name
}

func TestAnIndexIsNeverTheTruth(t *testing.T) {
	runs := many(t, 40)
	path := indexAll(t, runs, 40)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{"empty": {}, "nothing but its form": []byte(indexForm), "torn": good[:len(good)/2], "another form": append([]byte("x"), good...)}
	for _, at := range []int{0, len(indexForm) + 3, len(good) / 3, len(good) / 2, len(good) - 1} {
		flipped := bytes.Clone(good)
		flipped[at] ^= 1
		bad[fmt.Sprint("a bit at ", at)] = flipped
	}
	for name, raw := range bad {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := runs.readIndex(); len(got) > 0 {
			t.Errorf("%s: it has %d entries", name, len(got))
		}
		sameLists(t, runs, name)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	restore := fsx.InjectFaults(func(_, _ string) error { return errors.New("read-only file system") })
	sameLists(t, runs, "where nothing can be written")
	restore()
	if temps, _ := os.ReadDir(filepath.Join(filepath.Dir(runs.dir), "tmp")); len(temps) > 0 {
		t.Errorf("left: %v", temps)
	}
	indexAll(t, runs, 40)
}

func TestTheIndexOfAnotherBoot(t *testing.T) {
	runs := many(t, 33)
	indexAll(t, runs, 33)
	entries := runs.readIndex()
	c := &codec{out: []byte(indexForm)}
	boot, n := "another", int64(len(entries))
	c.text(&boot)
	c.number(&n)
	for i := range entries {
		c.entry(&entries[i])
	}
	if got := decodeIndex(sealed(c.out)); len(got) > 0 {
		t.Errorf("it has %d entries", len(got))
	}
}

func TestWhatChangesAfterItWasIndexed(t *testing.T) {
	runs := many(t, 40)
	running := create(t, runs, Run{Name: "on", Supervisor: self(t)})
	lost := create(t, runs, Run{Name: "gone", Supervisor: dead(t)})
	indexAll(t, runs, 41) // the lost one was closed by the first list
	sameLists(t, runs, "one runs")
	code := 3
	if err := running.Finish(Result{Cause: Exited, ExitCode: &code}); err != nil {
		t.Fatal(err)
	}
	sameLists(t, runs, "it has ended")
	v, err := runs.Get("gone")
	if err != nil || v.ID != lost.ID() || v.State != Gone {
		t.Errorf("the lost one: %+v, %v", v, err)
	}
	if err := runs.Remove(v, false); err != nil {
		t.Fatal(err)
	}
	if _, err := runs.Get("gone"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	sameLists(t, runs, "one was removed")
	if err := runs.Note(running.ID(), "first"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(running.Dir(), "result.json"), "{")
	sameLists(t, runs, "one was damaged")
	if v, err := runs.Get("run-0"); err != nil || v.Name != "run-0" || v.Argv[2] != "--seed=39" {
		t.Errorf("of two with a name the newest is meant: %+v, %v", v.Argv, err)
	}
}

// Whatever happens beside each other, a list shows what had happened before it was asked for.
func TestListsWhileRunsComeAndGo(t *testing.T) {
	runs := many(t, 60)
	var work sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		work.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := runs.Select(Selection{Brief: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var writers sync.WaitGroup
	for n := range 3 {
		writers.Go(func() {
			for i := range 20 {
				name := fmt.Sprint("beside-", n, "-", i)
				w := ended(t, runs, Run{Name: name, Supervisor: self(t)}, 0)
				v, err := runs.Get(name)
				if err != nil || v.ID != w.ID() || v.State != Ended {
					t.Errorf("%s: %+v, %v", name, v, err)
				}
				if i%2 == 0 {
					if err := runs.Remove(v, false); err != nil {
						t.Error(err)
					}
					if _, err := runs.Get(name); !errors.Is(err, ErrNotFound) {
						t.Errorf("%s, removed: %v", name, err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	work.Wait()
	sameLists(t, runs, "at the end")
}

func FuzzIndex(f *testing.F) {
	boot, err := host.BootID()
	if err != nil {
		f.Fatal(err)
	}
	n := int64(1)
	c := &codec{}
	c.text(&boot)
	c.number(&n)
	e := newEntry(5, View{State: Ended, Run: Run{ID: "01BX5ZZKBKACTAV9WEVGEMMVRZ", Name: "n", Argv: []string{"a"}, Labels: map[string]string{"k": "v"}}, ExitCode: new(int)})
	c.entry(&e)
	f.Add(c.out)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, e := range decodeIndex(sealed(slices.Concat([]byte(indexForm), raw))) {
			var v, again View
			if !e.view(&v, "/runs") {
				continue
			}
			if !newEntry(e.changed, v).view(&again, "/runs") || !reflect.DeepEqual(again.Argv, v.Argv) || again.Name != v.Name {
				t.Errorf("%+v came back as %+v", v, again)
			}
		}
	})
}
