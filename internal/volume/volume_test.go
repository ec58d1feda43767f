package volume

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/spec"
)

func open(t *testing.T) *Store {
	t.Helper()
	return Open(t.TempDir(), nil)
}

// run is a user of this process.
func run(t *testing.T, id string) User {
	t.Helper()
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	return User{ID: id, Run: "/runs/" + id, Owner: self}
}

func use(t *testing.T, s *Store, name, id string) *Lease {
	t.Helper()
	l, err := s.Use(t.Context(), Volume{Name: name}, run(t, id))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func names(t *testing.T, s *Store) (list []string) {
	t.Helper()
	all, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		list = append(list, v.Name)
	}
	return list
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	s := open(t)
	if _, err := s.Get("data"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	v, made, err := s.Create(Volume{Name: "data", Labels: map[string]string{"a": "b"}})
	if err != nil || !made || v.Labels["a"] != "b" || v.Created.IsZero() {
		t.Fatalf("%+v, %t, %v", v, made, err)
	}
	again, made, err := s.Create(Volume{Name: "data", Labels: map[string]string{"a": "c"}})
	if err != nil || made || again.Labels["a"] != "b" || !again.Created.Equal(v.Created) {
		t.Errorf("again: %+v, %t, %v", again, made, err)
	}
	for _, name := range []string{"", "x", "../data", "a/b", ".hidden", "a\nb"} {
		if _, _, err := s.Create(Volume{Name: name}); !errors.Is(err, spec.ErrOption) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := s.Get(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q is found: %v", name, err)
		}
	}
	if got := names(t, s); !slices.Equal(got, []string{"data"}) {
		t.Errorf("%q", got)
	}
}

// A power cut may leave nothing of a description; the data is found all the same.
func TestDamagedDescription(t *testing.T) {
	s := open(t)
	if _, _, err := s.Create(Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(s.volumeDir("data"), metaName), 0); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get("data"); err != nil || v.Name != "data" || v.Created.IsZero() || v.Path != s.Path("data") {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestUsedVolumesStay(t *testing.T) {
	s := open(t)
	first, second := use(t, s, "data", "A"), use(t, s, "data", "B")
	if !first.Made || second.Made {
		t.Error("the first one makes it, and no other")
	}
	inUse := (*InUseError)(nil)
	if err := s.Remove(t.Context(), "data"); !errors.As(err, &inUse) || len(inUse.Users) != 2 || inUse.Users[1].ID != "B" {
		t.Errorf("removed under two runs: %v", err)
	}
	if removed, err := s.Prune(t.Context(), PruneOptions{All: true}); err != nil || len(removed) > 0 {
		t.Errorf("pruned: %v, %v", removed, err)
	}
	if err := errors.Join(first.Release(), first.Release(), second.Release()); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "data"); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), "data"); !errors.Is(err, ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	if left, err := os.ReadDir(s.tmp); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A lease holds as long as its process is not provably dead; on another node, as long as the run has no result.
func TestLeasesOfOthers(t *testing.T) {
	s := open(t)
	ended := t.TempDir()
	if err := os.WriteFile(filepath.Join(ended, "result.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dead := run(t, "DEAD")
	dead.Owner.StartTime += 2
	far := host.Owner{Host: "far", BootID: "another", PID: 1, PIDSpace: "pid:[1]"}
	for _, u := range []User{dead, {ID: "FAR", Run: t.TempDir(), Owner: far}, {ID: "OVER", Run: ended, Owner: far}} {
		if _, err := s.Use(t.Context(), Volume{Name: "data"}, u); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.volumeDir("data"), usersName, "CUT"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := s.Users("data")
	if err != nil || len(users) != 1 || users[0].ID != "FAR" {
		t.Errorf("%+v, %v", users, err)
	}
	inUse := (*InUseError)(nil)
	if err := s.Remove(t.Context(), "data"); !errors.As(err, &inUse) || inUse.Hint() == (&InUseError{}).Hint() {
		t.Errorf("%v", err)
	}
}

func TestPruneTakesWhatNobodyNamed(t *testing.T) {
	s := open(t)
	for _, v := range []Volume{{Name: "named"}, {Name: "kept", Labels: map[string]string{"keep": ""}}, {Name: "abcdef", Anonymous: true}} {
		if _, _, err := s.Create(v); err != nil {
			t.Fatal(err)
		}
	}
	prune := func(o PruneOptions) (list []string) {
		removed, err := s.Prune(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range removed {
			list = append(list, v.Name)
		}
		return list
	}
	if got := prune(PruneOptions{DryRun: true}); !slices.Equal(got, []string{"abcdef"}) || len(names(t, s)) != 3 {
		t.Errorf("dry run: %q, left %q", got, names(t, s))
	}
	if got := prune(PruneOptions{}); !slices.Equal(got, []string{"abcdef"}) {
		t.Errorf("%q", got)
	}
	unlabelled := func(v Volume) bool { return v.Labels == nil }
	if got := prune(PruneOptions{All: true, Fits: unlabelled}); !slices.Equal(got, []string{"named"}) {
		t.Errorf("all that fit: %q", got)
	}
	if got := names(t, s); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("left: %q", got)
	}
}

// TestUseAndRemove has runs use a volume while others remove it: whoever has a lease has the volume.
func TestUseAndRemove(t *testing.T) {
	s := open(t)
	var removed, used atomic.Int64
	stop := make(chan struct{})
	var removers, users sync.WaitGroup
	for range 2 {
		removers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch err := s.Remove(t.Context(), "data"); {
				case err == nil:
					removed.Add(1)
				case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInUse):
					t.Error(err)
					return
				}
			}
		})
	}
	for _, id := range []string{"A", "B"} {
		u := run(t, id)
		users.Go(func() {
			for range 100 {
				l, err := s.Use(context.Background(), Volume{Name: "data"}, u)
				if err != nil {
					t.Error(err)
					return
				}
				file := filepath.Join(l.Path, id)
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(file); err != nil {
					t.Errorf("it went under a run: %v", err)
				}
				used.Add(1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	close(stop)
	removers.Wait()
	if used.Load() != 200 {
		t.Errorf("used %d times, removed %d times", used.Load(), removed.Load())
	}
}

// The mark of a process that has died while it removed a volume holds nobody up.
func TestDeadRemover(t *testing.T) {
	s := open(t)
	if _, _, err := s.Create(Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	self.StartTime += 2
	claim := filepath.Join(s.volumeDir("data"), leavingName, fsx.TempNameOf(self, "x"))
	if err := errors.Join(os.Mkdir(filepath.Dir(claim), 0o700), os.WriteFile(claim, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := use(t, s, "data", "A").Release(); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "data"); err != nil {
		t.Error(err)
	}
}

// The claim of a process whose end cannot be seen from here, on a node that has crashed perhaps, holds up nobody for ever.
func TestClaimFromElsewhere(t *testing.T) {
	defer func(old time.Duration) { claimPatience = old }(claimPatience)
	claimPatience = 10 * time.Millisecond
	s := open(t)
	if _, _, err := s.Create(Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	elsewhere := host.Owner{Host: "node7", BootID: "another", PID: 42, StartTime: 1, PIDSpace: "pid:[1]"}
	claim := filepath.Join(s.volumeDir("data"), leavingName, fsx.TempNameOf(elsewhere, "x"))
	if err := errors.Join(os.Mkdir(filepath.Dir(claim), 0o700), os.WriteFile(claim, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := s.Use(t.Context(), Volume{Name: "data"}, run(t, "A"))
	for _, err := range []error{err, s.Remove(t.Context(), "data")} {
		var claimed *ClaimedError
		if !errors.As(err, &claimed) || !strings.Contains(err.Error(), "process 42 on node7") || !strings.Contains(claimed.Hint(), "rm "+claim) {
			t.Errorf("%v", err)
		}
	}
	if err := os.Remove(claim); err != nil {
		t.Fatal(err)
	}
	if err := use(t, s, "data", "A").Release(); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), "data"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(s.tmp); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// What restores a volume may leave out the directory of its leases, which was empty.
func TestRestoredWithoutEmptyDirectories(t *testing.T) {
	s := open(t)
	if _, _, err := s.Create(Volume{Name: "data"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.volumeDir("data"), usersName)); err != nil {
		t.Fatal(err)
	}
	if err := use(t, s, "data", "A").Release(); err != nil {
		t.Error(err)
	}
}

func TestSeedOnceAndOnlyTheEmpty(t *testing.T) {
	s := open(t)
	l := use(t, s, "data", "A")
	if seeding, err := l.Seed(t.Context(), false); seeding != nil || err != nil {
		t.Fatalf("not wanted: %v, %v", seeding, err)
	}
	seeding, err := l.Seed(t.Context(), true)
	if err != nil || seeding == nil {
		t.Fatal(seeding, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := l.Seed(ctx, true)
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("beside the first: %v", err)
	}
	if err := os.WriteFile(filepath.Join(seeding.Data, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seeding.End(); err != nil {
		t.Fatal(err)
	}
	if again, err := l.Seed(t.Context(), true); again != nil || err != nil {
		t.Errorf("one with content: %v, %v", again, err)
	}
	// cut off while entries were moved
	if err := os.Mkdir(seeding.Ready, 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := l.Seed(t.Context(), false)
	if err != nil || again == nil {
		t.Fatalf("one that is half-way: %v, %v", again, err)
	}
	if err := again.End(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(again.Staging); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the staging directory is left: %v", err)
	}
}
