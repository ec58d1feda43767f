package record

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/record/index"
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
			row = append(row, fmt.Sprintf("%s=%#v", name, Field(&v, name)))
		}
		rows = append(rows, strings.Join(row, " "))
	}
	return rows
}

// listed are the rows of a brief list.
func listed(t *testing.T, runs *Runs, s Selection) (views []View) {
	t.Helper()
	list, err := runs.Brief(s)
	if err != nil {
		t.Fatal(err)
	}
	for v, short := range list.All() {
		if !strings.HasPrefix(v.ID, short) || len(short) < shortest {
			t.Errorf("%s is shortened to %q", v.ID, short)
		}
		copied := *v
		copied.Argv, copied.Labels = slices.Clone(v.Argv), maps.Clone(v.Labels)
		views = append(views, copied)
	}
	return views
}

// sameLists fails the test unless a brief list shows what a full one does.
func sameLists(t *testing.T, runs *Runs, when string) {
	t.Helper()
	full, err := runs.Select(Selection{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := runs.Brief(Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for v := range list.All() {
		got = append(got, shown([]View{*v})...)
	}
	if want := shown(full); !slices.Equal(got, want) {
		t.Errorf("%s: brief\n%s\nfull\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// entries are those of the index that is there.
func entries(t *testing.T, runs *Runs) (path string, list []index.Entry) {
	t.Helper()
	path, form, err := runs.indexFile()
	if err != nil {
		t.Fatal(err)
	}
	return path, index.Read(path, form)
}

// indexAll lists until all but some records are in the index: those that have just changed are not.
func indexAll(t *testing.T, runs *Runs, all int) string {
	t.Helper()
	for range 10_000 {
		sameLists(t, runs, "while it is made")
		path, list := entries(t, runs)
		if len(list) == all {
			return path
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("not all of %d are in the index", all)
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
	for name, s := range map[string]Selection{"all": {}, "filter": {Filters: []Filter{filter(t, "label=empty")}}, "sort": {Sort: "-created", Limit: 10}} {
		if list := listed(t, runs, s); len(list) < 10 || list[3].Image.Ref != "docker.io/library/debian:12" {
			t.Errorf("%s is not by the index: %d", name, len(list))
		}
	}
	for name, s := range map[string]Selection{"filter": {Filters: []Filter{filter(t, "network!=x")}}, "sort": {Sort: "cwd"}, "newest": {Limit: 4}} {
		if list := listed(t, runs, s); len(list) < 4 || list[3].Image.Ref != "docker.io/library/DEBIAN:12" {
			t.Errorf("%s is by the index: %d", name, len(list))
		}
	}
	if list, err := runs.Select(Selection{}); err != nil || list[3].Image.Ref != "docker.io/library/DEBIAN:12" {
		t.Errorf("what is read in full is by the index: %v", err)
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
	bad := map[string][]byte{"empty": {}, "a byte": good[:1], "torn": good[:len(good)/2], "longer": append(good[:len(good):len(good)], 0), "another": append([]byte("x"), good...)}
	for _, at := range []int{0, 20, len(good) / 3, len(good) / 2, len(good) - 1} {
		flipped := bytes.Clone(good)
		flipped[at] ^= 1
		bad[fmt.Sprint("a bit at ", at)] = flipped
	}
	for name, raw := range bad {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got := entries(t, runs); len(got) > 0 {
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

// rewrite puts an index in place that has a right sum, whatever else.
func rewrite(t *testing.T, runs *Runs, path string, form index.Form, list []index.Entry) {
	t.Helper()
	w, err := index.Begin(filepath.Dir(runs.dir), -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(path, list, form); err != nil {
		t.Fatal(err)
	}
}

// An index that another version of Coracle has written, or one that was not right, may say anything.
func TestAnIndexOfOthers(t *testing.T) {
	runs := many(t, 33)
	path, _, _ := runs.indexFile()
	_, form, err := runs.indexFile()
	if err != nil {
		t.Fatal(err)
	}
	indexAll(t, runs, 33)
	_, good := entries(t, runs)
	lie := func(change func(e *index.Entry)) []index.Entry {
		list := slices.Clone(good)
		for i := range list {
			change(&list[i])
		}
		return list
	}
	other := View{State: Ended, Run: Run{Name: "lie"}}
	lies := lie(func(e *index.Entry) { e.Text = packed(&other) })
	reversed := slices.Clone(good)
	slices.Reverse(reversed)
	for name, c := range map[string]struct {
		form index.Form
		list []index.Entry
	}{
		"of another boot":       {index.Form{Name: form.Name, Boot: "another"}, lies},
		"of other fields":       {index.Form{Name: form.Name + " more", Boot: form.Boot}, lies},
		"of another time":       {form, lie(func(e *index.Entry) { e.Changed, e.Text = e.Changed-1, packed(&other) })},
		"of a later time":       {form, lie(func(e *index.Entry) { e.Changed, e.Text = e.Changed+1, packed(&other) })},
		"of other records":      {form, lie(func(e *index.Entry) { e.ID = NewID(time.Now().Add(time.Hour)) })},
		"of what is none":       {form, lie(func(e *index.Entry) { e.Text = e.Text[:len(e.Text)-1] })},
		"of more than there is": {form, lie(func(e *index.Entry) { e.Text += "x" })},
		"of nothing":            {form, lie(func(e *index.Entry) { e.Text = "" })},
		"in another order":      {form, reversed},
		"with everything twice": {form, slices.Concat(good, good)},
		"with each entry twice": {form, slices.Concat(lie(func(*index.Entry) {})[:1], good)},
		"with half of them":     {form, good[:16]},
		"without any":           {form, nil},
	} {
		rewrite(t, runs, path, c.form, c.list)
		sameLists(t, runs, name)
		if v, err := runs.Get("run-3"); err != nil || v.Name != "run-3" {
			t.Errorf("%s: run-3 is %q, %v", name, v.Name, err)
		}
		if _, err := runs.Get("lie"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: a name that there is not: %v", name, err)
		}
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
				if _, err := runs.Brief(Selection{}); err != nil {
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

// Whatever a damaged disk makes of an index, a list is what it is without one.
func TestADamagedIndexChangesNothing(t *testing.T) {
	runs := many(t, 33)
	path := indexAll(t, runs, 33)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const seed = 9
	random := rand.New(rand.NewPCG(seed, seed))
	for n := range 100 {
		raw := bytes.Clone(good)
		for range 1 + random.IntN(4) {
			at := random.IntN(len(raw))
			switch random.IntN(4) {
			case 0:
				raw[at] ^= 1 << random.IntN(8)
			case 1:
				raw = append(raw[:at], 0)
			case 2:
				copy(raw[at:], raw[random.IntN(len(raw)):])
			default:
				clear(raw[at:min(len(raw), at+512)])
			}
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		sameLists(t, runs, fmt.Sprint("damage ", n))
	}
}

func FuzzBrief(f *testing.F) {
	ended := View{State: Ended, Run: Run{Name: "n", Argv: []string{"a"}, Labels: map[string]string{"k": "v"}, Private: &Private{Ports: []Port{{Host: 80}}}}, ExitCode: new(int)}
	f.Add(packed(&ended))
	f.Fuzz(func(t *testing.T, text string) {
		var v, again View
		if !v.unpack(text) {
			return
		}
		if !again.unpack(packed(&v)) || !slices.Equal(shown([]View{v}), shown([]View{again})) {
			t.Errorf("%+v came back as %+v", v, again)
		}
	})
}

// What a list keeps of a record has a form of its own: who changes the one changes the other, or an index of the version before is
// taken for one of this.
func TestTheFormOfAnEntry(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	v := View{
		State: Ended, Paused: true, Restarting: &Attempt{ExitCode: 1, Finished: at}, Started: &at, Finished: &at, Wall: new(0.5), ExitCode: new(3), Signal: "SIGHUP", Cause: Exited,
		Run: Run{
			Name: "name", Project: "project", Created: at, Argv: []string{"a", "b"}, Labels: map[string]string{"k": "v"}, Image: Image{Ref: "ref", Digest: "digest"},
			Host: Host{Hostname: "host"}, Private: &Private{Ports: []Port{{HostIP: "::1", Host: 80, Inside: 8080, Protocol: "tcp"}}},
		},
	}
	const want = "runs 3 856a"
	if got := fmt.Sprintf("%s %04x", briefForm, crc32.ChecksumIEEE([]byte(packed(&v)))&0xffff); got != want {
		t.Errorf("%s, want %s: give briefForm another number when what is kept changes", got, want)
	}
}
