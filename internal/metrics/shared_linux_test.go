package metrics

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// twins are a tree of two processes with a number of private KiB each, and of KiB that both have.
type twins struct {
	t    *testing.T
	dir  string
	tree *Tree
}

func newTwins(t *testing.T) *twins {
	proc := &twins{t: t, dir: t.TempDir()}
	dir, err := openDirectory(proc.dir)
	if err != nil {
		t.Fatal(err)
	}
	proc.tree = &Tree{proc: dir, seen: map[id]*process{}}
	t.Cleanup(func() {
		if err := proc.tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return proc
}

func (w *twins) file(pid int, name, text string) {
	w.t.Helper()
	dir := filepath.Join(w.dir, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// holds is what the processes have from now on.
func (w *twins) holds(private, both int) {
	for _, pid := range []int{7, 8} {
		w.file(pid, "status", fmt.Sprintf("RssAnon:\t%d kB\nRssFile:\t0 kB\nRssShmem:\t%d kB\n", private, both))
		w.file(pid, "smaps_rollup", fmt.Sprintf("Pss_Anon: %d kB\nPss_File: 0 kB\nPss_Shmem: %d kB\n", private, both/2))
	}
}

// sum is what a sample finds in the processes.
func (w *twins) sum() (sum total) {
	for _, pid := range []int{7, 8} {
		text, err := w.tree.proc.read(strconv.Itoa(pid) + "/status")
		if err != nil {
			w.t.Fatal(err)
		}
		p := process{resides: parseStatus(text)}
		w.tree.seen[id{pid: pid}] = &p
		sum.add(p)
	}
	return sum
}

func TestOver(t *testing.T) {
	const kiB = 1 << 10
	proc := newTwins(t)
	proc.holds(1000, 9000)
	h := &shared{}
	// The second process has mapped what the first has between the sample and the look: the first, looked at before, has it in full.
	sum := proc.sum()
	proc.file(8, "status", "RssAnon:\t1200 kB\nRssFile:\t0 kB\nRssShmem:\t9000 kB\n")
	if _, certain := h.over(proc.tree, sum, time.Now()); certain {
		t.Error("a look at processes that grew meanwhile is taken for certain")
	}
	proc.holds(1000, 9000)
	h.next = time.Time{}
	over, certain := h.over(proc.tree, proc.sum(), time.Now())
	if want := (excess{all: 9000 * kiB, shmem: 9000 * kiB}); over != want || !certain {
		t.Errorf("over by %+v, certain %v, want %+v", over, certain, want)
	}
	// What was found lasts while the sum does, and no longer.
	proc.holds(1050, 9000)
	h.next = time.Now().Add(time.Hour)
	if over, certain = h.over(proc.tree, proc.sum(), time.Now()); !certain || over.all < 9000*kiB {
		t.Errorf("over by %+v, certain %v after a small change", over, certain)
	}
	proc.holds(1200, 9000)
	if _, certain = h.over(proc.tree, proc.sum(), time.Now()); certain {
		t.Error("certain after a great change without a new look")
	}
}
