package store_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

func upper(t *testing.T, st *store.Store, id string, lease store.Lease) *store.Upper {
	t.Helper()
	u, err := st.NewUpper(id, lease)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUpper(t *testing.T) {
	st := two(t)
	u := upper(t, st, "run1", store.Lease{Name: "x", Run: "/runs/run1"})
	for _, dir := range []string{u.FS(), u.Work()} {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", dir, err)
		}
	}
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	if leases, err := st.Leases(); err != nil || len(leases) != 1 || leases[0].Owner != self || leases[0].Created.IsZero() {
		t.Errorf("Leases() = %+v, %v", leases, err)
	}
	if _, err := st.NewUpper("run1", store.Lease{}); !errors.Is(err, store.ErrExists) {
		t.Errorf("a second run1: %v, want ErrExists", err)
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", ".hidden"} {
		if _, err := st.NewUpper(id, store.Lease{}); err == nil {
			t.Errorf("NewUpper(%q) was accepted", id)
		}
	}
	if err := os.Mkdir(filepath.Join(u.Work(), "work"), 0); err != nil { // as overlayfs leaves it
		t.Fatal(err)
	}
	for range 2 {
		if err := u.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"upper", "tmp"} {
		if got := names(t, filepath.Join(st.Dirs().Layers, dir)); len(got) != 0 {
			t.Errorf("left in %s: %v", dir, got)
		}
	}
}

func TestUpperIsLeftToASweeper(t *testing.T) {
	st := two(t)
	tmp := filepath.Join(st.Dirs().Layers, "tmp")
	u := upper(t, st, "run1", store.Lease{Run: "/runs/run1"})
	write(t, filepath.Join(u.FS(), "checkpoint"), "x")
	if err := u.Empty(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(u.FS()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Empty left the job's files: %v", err)
	}
	if leases, err := st.Leases(); err != nil || len(leases) != 1 {
		t.Errorf("Empty ended the lease: %v, %v", leases, err)
	}
	write(t, filepath.Join(u.Dir(), "late"), "x")
	path, err := u.Leave()
	if err != nil {
		t.Fatal(err)
	}
	if leases, err := st.Leases(); err != nil || len(leases) != 0 {
		t.Errorf("Leave kept the lease: %v, %v", leases, err)
	}
	taken := 0
	for range 2 { // the second finds nothing
		if err := st.Sweep(path, func() { taken++ }); err != nil {
			t.Error(err)
		}
	}
	if got := names(t, tmp); len(got) != 0 || taken != 2 {
		t.Errorf("left in tmp: %v; taken %d times", got, taken)
	}
	precious := filepath.Join(t.TempDir(), filepath.Base(path))
	write(t, precious, "x")
	for _, path := range []string{precious, st.Dirs().Layers, filepath.Join(tmp, "x")} {
		if err := st.Sweep(path, func() { t.Error("it was taken") }); err == nil {
			t.Errorf("%s was swept", path)
		}
	}
}

// TestTryClears: a trial removes what others left that were killed, also where no store was ever opened.
func TestTryClears(t *testing.T) {
	base := t.TempDir()
	var left []string
	for _, dir := range []string{"store", "store/layer-roots"} {
		left = append(left, filepath.Join(base, dir, tempNameOf(t, dead(t))))
		if err := os.MkdirAll(filepath.Join(left[len(left)-1], "plain"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := func(name string) string { return map[string]string{"CORACLE_ROOT": filepath.Join(base, "store")}[name] }
	trial, err := location.Try(env, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := trial.Close(); err != nil {
		t.Error(err)
	}
	for _, path := range left {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestReclaim(t *testing.T) {
	st := two(t)
	live := upper(t, st, "live", store.Lease{Run: "/runs/live"})
	upper(t, st, "dead", store.Lease{Run: "/runs/dead", Owner: dead(t)})
	elsewhere := dead(t)
	elsewhere.Host, elsewhere.BootID = elsewhere.Host+"-other", "11111111-1111-1111-1111-111111111111"
	upper(t, st, "elsewhere", store.Lease{Run: "/runs/elsewhere", Owner: elsewhere})
	damaged := upper(t, st, "damaged", store.Lease{Run: "/runs/damaged"})
	write(t, filepath.Join(damaged.Dir(), "lease.json"), "")
	mine, err := st.BeginLayer(digest.FromString("x"))
	if err != nil {
		t.Fatal(err)
	}
	layersTmp, dataTmp := filepath.Join(st.Dirs().Layers, "tmp"), filepath.Join(st.Dirs().Data, "tmp")
	for _, dir := range []string{layersTmp, dataTmp} {
		for _, name := range []string{tempNameOf(t, dead(t)), tempNameOf(t, elsewhere), "somebody's"} {
			if err := os.MkdirAll(filepath.Join(dir, name, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	tried := []string{filepath.Join(st.Dirs().Layers, tempNameOf(t, dead(t))), filepath.Join(st.Dirs().Data, "layer-roots", tempNameOf(t, dead(t))), filepath.Join(st.Dirs().Data, tempNameOf(t, dead(t)))}
	for _, dir := range tried {
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(st.Dirs().Layers, "locks", "of-a-killed-process"), "")
	unlock, err := st.Lock(t.Context(), digest.FromString("held"), func() { t.Error("busy") })
	if err != nil {
		t.Fatal(err)
	}
	gone, err := st.Reclaim()
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "locks")); !slices.Equal(got, []string{digest.FromString("held").Encoded()}) {
		t.Errorf("locks left: %v, want the one that is held", got)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	if len(gone) != 1 || gone[0].Run != "/runs/dead" {
		t.Errorf("Reclaim() = %+v, want the lease of the dead run", gone)
	}
	for _, dir := range tried {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what was tried in a directory of the store's is left: %s, %v", dir, err)
		}
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "upper")); !slices.Equal(got, []string{"elsewhere", "live"}) {
		t.Errorf("uppers left: %v", got)
	}
	want := []string{filepath.Base(filepath.Dir(mine.FS())), tempNameOf(t, elsewhere), "somebody's"}
	slices.Sort(want)
	if got := names(t, layersTmp); len(got) != 3 {
		t.Errorf("temporary trees left: %v, want %v", got, want)
	}
	if got := names(t, dataTmp); len(got) != 2 {
		t.Errorf("temporary images left: %v", got)
	}
	if _, err := os.Stat(live.FS()); err != nil {
		t.Error(err)
	}
	if again, err := st.Reclaim(); err != nil || len(again) != 0 {
		t.Errorf("second Reclaim: %v, %v", again, err)
	}
}

// tempNameOf is a name as this process would have made it, were it the owner.
func tempNameOf(t *testing.T, owner host.Owner) string {
	t.Helper()
	return fsx.TempNameOf(owner, "RANDOM")
}

func TestReclaimersDoNotDisturbEachOther(t *testing.T) {
	st := open(t)
	const n = 20
	for i := range n {
		upper(t, st, "dead"+string(rune('a'+i)), store.Lease{Run: "/runs/x", Owner: dead(t)})
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 8 {
		wg.Go(func() {
			gone, err := st.Reclaim()
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			total += len(gone)
			mu.Unlock()
		})
	}
	wg.Wait()
	if total != n {
		t.Errorf("%d leases returned, want each of %d once", total, n)
	}
	if got := names(t, filepath.Join(st.Dirs().Layers, "upper")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestRemove(t *testing.T) {
	st := two(t)
	shared, own := addLayer(t, st, "shared"), addLayer(t, st, "own")
	put(t, st, image(t, "a:1", shared, own))
	b := put(t, st, image(t, "b:1", shared))
	alias := b
	alias.Ref = "b:latest"
	put(t, st, alias)

	got, err := st.Remove("a:1")
	if err != nil || !slices.Equal(got.Untagged, []string{"a:1"}) || !slices.Equal(got.Layers, []digest.Digest{own}) || got.Bytes != 3 || got.Deleted == "" {
		t.Errorf("Remove(a:1) = %+v, %v", got, err)
	}
	if st.HasLayer(own) || !st.HasLayer(shared) {
		t.Error("the wrong layer is gone")
	}
	if got, err := st.Remove("b:1"); err != nil || got.Deleted != "" || len(got.Layers) != 0 || len(got.Untagged) != 1 {
		t.Errorf("Remove(b:1) = %+v, %v; want only the reference gone", got, err)
	}
	if got, err := st.Remove(b.Digest.Encoded()[:12]); err != nil || !slices.Equal(got.Untagged, []string{"b:latest"}) || !slices.Equal(got.Layers, []digest.Digest{shared}) {
		t.Errorf("Remove by id = %+v, %v", got, err)
	}
	if _, err := st.Remove("b:1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("again: %v, want ErrNotFound", err)
	}
	for _, dir := range []string{"layers/sha256", "tmp", "locks"} {
		if got := names(t, filepath.Join(st.Dirs().Layers, dir)); len(got) != 0 {
			t.Errorf("left in %s: %v", dir, got)
		}
	}
	if got := names(t, filepath.Join(st.Dirs().Data, "images/sha256")); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestRemoveSparesWhatIsInUse(t *testing.T) {
	st := open(t)
	shared := addLayer(t, st, "shared")
	a := put(t, st, image(t, "a:1", shared))
	put(t, st, image(t, "b:1", shared, digest.FromString("missing")))
	u := upper(t, st, "run1", store.Lease{Name: "trainer", Run: "/runs/run1", Digest: a.Digest, Layers: []digest.Digest{shared}})
	_, err := st.Remove("a:1")
	var inUse *store.InUseError
	if !errors.As(err, &inUse) || !errors.Is(err, store.ErrInUse) || !slices.Equal(inUse.Runs, []string{"trainer"}) || inUse.Hint() == "" {
		t.Errorf("Remove: %v, want ErrInUse by trainer", err)
	}
	if _, err := st.Image("a:1"); err != nil {
		t.Errorf("the refused removal changed something: %v", err)
	}
	// Another image with a layer in use can go; the layer stays even when no image has it any more.
	if got, err := st.Remove("b:1"); err != nil || len(got.Layers) != 0 {
		t.Errorf("Remove(b:1) = %+v, %v", got, err)
	}
	if !st.HasLayer(shared) {
		t.Error("a layer was removed under a run")
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Remove("a:1"); err != nil || st.HasLayer(shared) {
		t.Errorf("after the run: %v", err)
	}
	put(t, st, a)
	upper(t, st, "run2", store.Lease{Run: "/runs/run2", Owner: dead(t), Digest: a.Digest})
	if _, err := st.Remove("a:1"); err != nil {
		t.Errorf("held by a dead run only: %v", err)
	}
}

// TestMarks: what a process was about to make outside of the store is told when it has died, by its lease, until that has gone well; a mark
// that was taken back, and that of somebody who lives, are nobody's business.
func TestMarks(t *testing.T) {
	st := two(t)
	tmp := filepath.Join(st.Dirs().Layers, "tmp")
	remove, err := st.Mark(store.Lease{Scope: "coracle-a.scope", Bus: "/bus"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Mark(store.Lease{Scope: "coracle-b.scope"}); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Fatal(err)
	}
	marks := names(t, tmp)
	if len(marks) != 1 {
		t.Fatalf("there are %q", marks)
	}
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	of := func(owner host.Owner) string {
		return strings.Replace(marks[0], fsx.TempNameOf(self, ""), fsx.TempNameOf(owner, ""), 1)
	}
	text, err := os.ReadFile(filepath.Join(tmp, marks[0]))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tmp, of(dead(t))), string(text))
	write(t, filepath.Join(tmp, of(dead(t))+"x"), "") // of a power cut
	var told []string
	fails := errors.New("the manager does not answer")
	st.FollowDead(func(l store.Lease) error {
		told = append(told, l.Scope)
		return fails
	})
	if _, err := st.Reclaim(); !errors.Is(err, fails) {
		t.Errorf("%v", err)
	}
	if got := names(t, tmp); len(got) != 2 {
		t.Errorf("after what failed there are %q", got)
	}
	fails = nil
	if gone, err := st.Reclaim(); err != nil || len(gone) > 0 {
		t.Errorf("%v, %v", gone, err)
	}
	if got := names(t, tmp); !slices.Equal(got, marks) || !slices.Equal(told, []string{"coracle-b.scope", "coracle-b.scope"}) {
		t.Errorf("there are %q, and told was of %q", got, told)
	}
}
