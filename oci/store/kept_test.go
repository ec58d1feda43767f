package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store"
)

// basis is what the kept layers of these tests are made of.
var basis = store.Basis{Image: "docker.io/library/a:1", Digest: digest.FromString("a"), Platform: "linux/amd64", UserNS: "subuid", IDs: "uids 0:1000:1"}

// keep is a run that keeps its writable layer as "dev".
func keep(t *testing.T, st *store.Store, id string) *store.Upper {
	t.Helper()
	u := upper(t, st, id, store.Lease{Run: "/runs/" + id, Name: "name-" + id})
	if err := u.Keep(t.Context(), "dev", basis, store.Holder{Run: "/runs/" + id, Name: "name-" + id}); err != nil {
		t.Fatal(err)
	}
	return u
}

// begin does what who mounts the layer does before the job begins.
func begin(t *testing.T, u *store.Upper) {
	t.Helper()
	write(t, u.Way(), "overlay\n")
}

// refused is Keep by a run that must not have the layer.
func refused(t *testing.T, st *store.Store, b store.Basis) error {
	t.Helper()
	u := upper(t, st, "refused", store.Lease{Run: "/runs/refused"})
	err := u.Keep(t.Context(), "dev", b, store.Holder{Run: "/runs/refused"})
	if err == nil {
		t.Error("it was let in")
	}
	if err := u.Remove(); err != nil {
		t.Error(err)
	}
	return err
}

func TestKeptLayerGoesOn(t *testing.T) {
	st := two(t)
	u := keep(t, st, "run1")
	begin(t, u)
	write(t, filepath.Join(u.FS(), "file"), "x")
	write(t, filepath.Join(u.Work(), "half"), "x")
	if err := os.Mkdir(u.Extra(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Empty(), u.Remove()); err != nil {
		t.Fatal(err)
	}
	k, err := st.Kept("dev")
	if err != nil || k.Basis != basis || k.Way != "overlay" || k.Holder != nil || k.Created.IsZero() {
		t.Errorf("Kept() = %+v, %v", k, err)
	}
	u = keep(t, st, "run2")
	if _, err := os.Stat(filepath.Join(u.FS(), "file")); err != nil {
		t.Error(err)
	}
	if got := names(t, u.Work()); len(got) != 0 {
		t.Errorf("in the work directory: %v", got)
	}
	if info, err := os.Stat(u.FS()); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if err := u.Renew(); err != nil { // the job is started again
		t.Error(err)
	}
	if path, err := u.Leave(); err != nil {
		t.Error(err)
	} else if err := st.Sweep(path, func() {}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(k.Dir, "fs", "file")); err != nil {
		t.Errorf("it went with the run: %v", err)
	}
	if plain := upper(t, st, "run3", store.Lease{}); plain.Way() != "" || !strings.HasPrefix(plain.FS(), plain.Dir()) {
		t.Errorf("an upper that is not kept: %q, %q", plain.Way(), plain.FS())
	} else if err := errors.Join(plain.MountedBy(host.Owner{}), plain.LetGo(), plain.Remove()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"upper", "tmp", "locks"} {
		if got := names(t, filepath.Join(st.Dirs().Layers, dir)); len(got) != 0 {
			t.Errorf("left in %s: %v", dir, got)
		}
	}
}

// What was written before a job began is of a root that was made by half.
func TestKeptLayerOfNoJobIsMadeAnew(t *testing.T) {
	st := two(t)
	u := keep(t, st, "run1")
	write(t, filepath.Join(u.FS(), "half"), "x")
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	u = keep(t, st, "run2")
	if got := names(t, u.FS()); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
	if err := u.Remove(); err != nil {
		t.Error(err)
	}
}

func TestKeptLayerOfSomethingElse(t *testing.T) {
	st := two(t)
	if err := keep(t, st, "run1").Remove(); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*store.Basis){
		"another image, docker.io/library/a:1@" + string(basis.Digest):  func(b *store.Basis) { b.Digest = digest.FromString("b") },
		"another platform, linux/amd64, and this run has linux/arm64":   func(b *store.Basis) { b.Platform = "linux/arm64" },
		"another --userns, subuid, and this run has flat":               func(b *store.Basis) { b.UserNS = "flat" },
		"another subordinate ids, uids 0:1000:1, and this run has none": func(b *store.Basis) { b.IDs = "" },
	} {
		other := basis
		change(&other)
		err := refused(t, st, other)
		basisErr, ok := errors.AsType[*store.KeptBasisError](err)
		if !errors.Is(err, store.ErrKeptBasis) || !strings.Contains(err.Error(), says) || !ok || !strings.Contains(basisErr.Hint(), "coracle upper rm dev") {
			t.Errorf("%v, want it to say %q", err, says)
		}
	}
	renamed := basis
	renamed.Image = "a@" + string(basis.Digest)
	u := upper(t, st, "run2", store.Lease{})
	if err := errors.Join(u.Keep(t.Context(), "dev", renamed, store.Holder{Run: "/runs/run2"}), u.Remove()); err != nil {
		t.Errorf("by another name of the image: %v", err)
	}
	for _, name := range []string{"", "x", "../x", "a/b", ".hidden", "-x", strings.Repeat("x", 129)} {
		if err := store.CheckKeptName(name); err == nil {
			t.Errorf("%q is a name", name)
		}
		if _, err := st.Kept(name); !errors.Is(err, store.ErrNotKept) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestKeptLayerIsHeldByOne(t *testing.T) {
	st := two(t)
	u := keep(t, st, "run1")
	err := refused(t, st, basis)
	if !errors.Is(err, store.ErrKeptInUse) || !strings.Contains(err.Error(), "run run1 (name-run1) has it") {
		t.Errorf("%v", err)
	}
	if k, err := st.Kept("dev"); err != nil || k.Holder == nil || k.Holder.Name != "name-run1" {
		t.Errorf("%+v, %v", k, err)
	}
	if err := st.RenameLease("run1", "renamed"); err != nil {
		t.Fatal(err)
	}
	if err := st.RemoveKept(t.Context(), "dev"); !errors.Is(err, store.ErrKeptInUse) || !strings.Contains(err.Error(), "run run1 (renamed) has it") {
		t.Errorf("RemoveKept: %v", err)
	}
	if err := refused(t, st, basis); !strings.Contains(err.Error(), "run run1 (renamed) has it") {
		t.Errorf("a run that was renamed: %v", err)
	}
	if p, err := st.Prune(t.Context(), store.PruneOptions{All: true, Uppers: true}); err != nil || len(p.Kept) != 0 {
		t.Errorf("Prune: %+v, %v", p.Kept, err)
	}
	if err := u.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := keep(t, st, "run2").Remove(); err != nil {
		t.Error(err)
	}
}

// Of runs that ask at once one has it.
func TestKeptLayerWhileOthersTakeIt(t *testing.T) {
	st := two(t)
	for n := range rounds {
		var had atomic.Int32
		take := func(id string) func() {
			return func() {
				id := fmt.Sprintf("%s-%d", id, n)
				u, err := st.NewUpper(id, store.Lease{Run: "/runs/" + id})
				if err != nil {
					t.Error(err)
					return
				}
				err = u.Keep(t.Context(), "dev", basis, store.Holder{Run: "/runs/" + id})
				switch {
				case err == nil:
					if now := had.Add(1); now != 1 {
						t.Errorf("round %d: %d have it", n, now)
					}
					err = os.WriteFile(filepath.Join(u.FS(), "mine"), nil, 0o600)
					had.Add(-1)
				case errors.Is(err, store.ErrKeptInUse):
					err = nil
				}
				if err := errors.Join(err, u.Remove()); err != nil {
					t.Errorf("round %d: %v", n, err)
				}
			}
		}
		together(take("a"), take("b"))
		together(take("c"), func() {
			if err := st.RemoveKept(t.Context(), "dev"); err != nil && !errors.Is(err, store.ErrKeptInUse) && !errors.Is(err, store.ErrNotKept) {
				t.Errorf("round %d: %v", n, err)
			}
		})
	}
}

// A dead run has nothing, but for its keeper's mount: that lasts until the kernel has ended it.
func TestKeptLayerOfTheDead(t *testing.T) {
	st := two(t)
	cat := exec.Command("cat")
	stdin, err := cat.StdinPipe()
	if err == nil {
		err = cat.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := host.Child(cat.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	u := upper(t, st, "run1", store.Lease{Run: "/runs/run1", Owner: dead(t)})
	if err := u.Keep(t.Context(), "dev", basis, store.Holder{Run: "/runs/run1", Owner: dead(t)}); err != nil {
		t.Fatal(err)
	}
	begin(t, u)
	if err := u.MountedBy(keeper); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Reclaim(); err != nil {
		t.Error(err)
	}
	// The keeper of a run that is over ends it with itself; who cannot wait for that has not got it.
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("in a hurry"))
	waiting := upper(t, st, "run2", store.Lease{Run: "/runs/run2"})
	if err := waiting.Keep(ctx, "dev", basis, store.Holder{Run: "/runs/run2"}); err == nil {
		t.Error("it was let in while the layer was mounted")
	}
	if k, err := st.Kept("dev"); err != nil || k.Holder != nil {
		t.Errorf("%+v, %v", k, err)
	}
	if err := errors.Join(stdin.Close(), cat.Wait()); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Keep(t.Context(), "dev", basis, store.Holder{Run: "/runs/run2"}); err != nil {
		t.Errorf("once it is mounted no more: %v", err)
	}
	if err := waiting.Remove(); err != nil {
		t.Error(err)
	}
}

func TestRemoveKept(t *testing.T) {
	st := two(t)
	if err := st.RemoveKept(t.Context(), "dev"); !errors.Is(err, store.ErrNotKept) {
		t.Errorf("none: %v", err)
	}
	filled := func() string {
		u := keep(t, st, "run1")
		begin(t, u)
		write(t, filepath.Join(u.FS(), "file"), "12345")
		if err := u.Remove(); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(u.FS())
	}
	dir := filled()
	write(t, filepath.Join(dir, "kept.json"), "{")
	if list, err := st.KeptLayers(); err != nil || len(list) != 1 || list[0].Name != "dev" || list[0].Dir != dir {
		t.Errorf("a damaged one: %+v, %v", list, err)
	}
	for _, b := range []store.Basis{basis, {}} {
		if err := refused(t, st, b); !errors.Is(err, store.ErrKeptBasis) || !strings.Contains(err.Error(), "its description is damaged") {
			t.Errorf("a damaged one: %v", err)
		}
	}
	if err := st.RemoveKept(t.Context(), "dev"); err != nil {
		t.Errorf("a damaged one: %v", err)
	}
	dir = filled()
	if err := os.Remove(filepath.Join(dir, "eldest")); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*store.KeptAgedError](refused(t, st, basis)); !ok {
		t.Error("files that were cleaned away are not told")
	}
	usage, err := st.Usage()
	if err != nil || len(usage.Kept) != 1 || usage.Kept[0].Name != "dev" || usage.Kept[0].Bytes != 5 {
		t.Errorf("Usage: %+v, %v", usage.Kept, err)
	}
	for _, o := range []store.PruneOptions{{All: true}, {Uppers: true, DryRun: true}} {
		p, err := st.Prune(t.Context(), o)
		if _, gone := os.Stat(dir); err != nil || gone != nil || len(p.Kept) != 0 && !o.DryRun {
			t.Errorf("%+v: %+v, %v, %v", o, p.Kept, err, gone)
		}
	}
	if _, err := st.Collect(false); err != nil {
		t.Error(err)
	}
	if p, err := st.Prune(t.Context(), store.PruneOptions{Uppers: true}); err != nil || len(p.Kept) != 1 || p.Kept[0] != (store.Item{Name: "dev", Bytes: 5}) || p.Bytes != 5 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, left := range []string{"kept", "tmp"} {
		if got := names(t, filepath.Join(st.Dirs().Layers, left)); len(got) != 0 {
			t.Errorf("left in %s: %v", left, got)
		}
	}
}

// Whichever step of taking it fails, the layer is as it was, and the next run's.
func TestKeptLayerWhenStepsFail(t *testing.T) {
	for _, first := range []bool{true, false} {
		for step := 1; ; step++ {
			st := two(t)
			if !first {
				u := keep(t, st, "before")
				begin(t, u)
				write(t, filepath.Join(u.FS(), "file"), "x")
				if err := u.Remove(); err != nil {
					t.Fatal(err)
				}
			}
			u := upper(t, st, "run1", store.Lease{Run: "/runs/run1"})
			n := 0
			restore := fsx.InjectFaults(func(op, path string) error {
				if n++; n == step {
					return &os.PathError{Op: op, Path: path, Err: os.ErrInvalid}
				}
				return nil
			})
			err := u.Keep(t.Context(), "dev", basis, store.Holder{Run: "/runs/run1"})
			restore()
			if err := u.Remove(); err != nil {
				t.Errorf("step %d: %v", step, err)
			}
			next := keep(t, st, "run2")
			if _, err := os.Stat(filepath.Join(next.FS(), "file")); (err == nil) == first {
				t.Errorf("step %d: %v", step, err)
			}
			if err := next.Remove(); err != nil {
				t.Errorf("step %d: %v", step, err)
			}
			if got := names(t, filepath.Join(st.Dirs().Layers, "tmp")); len(got) != 0 {
				t.Errorf("step %d: left: %v", step, got)
			}
			if n < step {
				if err != nil || step < 5 {
					t.Errorf("%d steps, %v", step, err)
				}
				break
			}
			if err == nil {
				t.Logf("step %d can do without", step)
			}
		}
	}
}
