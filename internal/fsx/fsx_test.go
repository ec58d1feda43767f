package fsx_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, opts := range [][]fsx.Option{nil, {fsx.Sync}} {
		for _, data := range []string{"one", "", "another content"} {
			if err := fsx.WriteFile(path, []byte(data), 0o640, opts...); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil || string(got) != data {
				t.Errorf("read %q, %v; want %q", got, err, data)
			}
			if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
				t.Errorf("mode %v, want 0640", st.Mode())
			}
		}
	}
	only(t, dir, "f")
}

func TestWriteFileFailsWhole(t *testing.T) {
	disk := errors.New("the disk is gone")
	for _, op := range []string{"create", "write", "sync", "rename"} {
		t.Run(op, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			if err := fsx.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			restore := fsx.InjectFaults(func(got, _ string) error {
				if got == op {
					return disk
				}
				return nil
			})
			defer restore()
			if err := fsx.WriteFile(path, []byte("new"), 0o600, fsx.Sync); !errors.Is(err, disk) {
				t.Fatalf("error %v, want the injected one", err)
			}
			if got, _ := os.ReadFile(path); string(got) != "old" {
				t.Errorf("the file now holds %q", got)
			}
			only(t, dir, "f")
		})
	}
}

func TestCreateExclusiveFollowsNothing(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := fsx.CreateExclusive(link, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateExclusive over a link: %v, want ErrExist", err)
	}
	if _, err := fsx.AppendFile(link, 0o600); !errors.Is(err, fsx.ErrNotRegular) {
		t.Errorf("AppendFile through a link: %v, want ErrNotRegular", err)
	}
	only(t, dir, "link")
}

func TestTempNameNamesItsOwner(t *testing.T) {
	name, err := fsx.TempName()
	if err != nil {
		t.Fatal(err)
	}
	self, err := host.Self()
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := fsx.TempOwner(name); !ok || owner != self {
		t.Errorf("TempOwner(%q) = %+v, %v; want %+v", name, owner, ok, self)
	}
	for name, want := range map[string]host.Owner{
		"node7.hpc.example.b-1.pid%3A%5B7%5D.12.99.X": {Host: "node7.hpc.example", BootID: "b-1", PIDSpace: "pid:[7]", PID: 12, StartTime: 99},
		"a%2Fb.b-1.s.12.99.X":                         {Host: "a/b", BootID: "b-1", PIDSpace: "s", PID: 12, StartTime: 99},
		"node7.hpc@c0ffee.b-1.s.12.99.X":              {Host: "node7.hpc", Machine: "c0ffee", BootID: "b-1", PIDSpace: "s", PID: 12, StartTime: 99},
		"a%40b@c0ffee.b-1.s.12.99.X":                  {Host: "a@b", Machine: "c0ffee", BootID: "b-1", PIDSpace: "s", PID: 12, StartTime: 99},
	} {
		if owner, ok := fsx.TempOwner(name); !ok || owner != want {
			t.Errorf("TempOwner(%q) = %+v, %v; want %+v", name, owner, ok, want)
		}
		if again := fsx.TempNameOf(want, "X"); again != name {
			t.Errorf("TempNameOf(%+v) = %q, want %q", want, again, name)
		}
	}
	earlier := host.Owner{Host: "h", BootID: "b", PIDSpace: "pid:[7]", PID: 1, StartTime: 2}
	if owner, ok := fsx.TempOwner("h.b.pid:%5B7%5D.1.2.X"); !ok || owner != earlier {
		t.Errorf("a name with a colon, as they were: %+v, %v", owner, ok)
	}
	if name := fsx.TempNameOf(earlier, "X"); strings.Contains(name, ":") {
		t.Errorf("%s has a colon", name)
	}
	for _, name := range []string{"", "x", "lost+found", "h.b.s.1.2", "h.b.s.x.2.r", "h.b.s.1.-2.r", ".b.s.1.2.r", "h..s.1.2.r", "h.b.s.0.2.r", "h.b.s.1.2.",
		"%zz.b.s.1.2.r", "h.b.%zz.1.2.r"} {
		if owner, ok := fsx.TempOwner(name); ok {
			t.Errorf("TempOwner(%q) = %+v, want none", name, owner)
		}
	}
}

func TestRemoveAllStaysInside(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	mkdirs(t, filepath.Join(outside, "kept"))
	tree := filepath.Join(dir, "tree")
	mkdirs(t, filepath.Join(tree, "a/b/c"), filepath.Join(tree, "d"))
	for _, link := range []string{"link", "a/b/link"} {
		if err := os.Symlink(outside, filepath.Join(tree, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"d", "a/b/c", "a"} {
		if err := os.WriteFile(filepath.Join(tree, name, "f"), []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []struct {
		name string
		mode os.FileMode
	}{{"d", 0}, {"a/b/c", 0o500}, {"a/b", 0o400}, {"a", 0}} {
		if err := os.Chmod(filepath.Join(tree, m.name), m.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsx.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	only(t, dir, "outside")
	only(t, outside, "kept")
	link := filepath.Join(dir, "rootlink")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, link, filepath.Join(dir, "none/none")} {
		if err := fsx.RemoveAll(path); err != nil {
			t.Errorf("RemoveAll(%s): %v", path, err)
		}
	}
	only(t, outside, "kept")
}

// A job can nest directories deeper than any path or descriptor table reaches.
func TestRemoveAllDeepAndWide(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	mkdirs(t, tree)
	fd, err := syscall.Open(tree, syscall.O_DIRECTORY|syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		if err := syscall.Mkdirat(fd, "deeper", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := syscall.Openat(fd, "deeper", syscall.O_DIRECTORY|syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Close(fd)
		fd = next
	}
	_ = syscall.Close(fd)
	for i := range 300 {
		mkdirs(t, filepath.Join(tree, "wide", strings.Repeat("n", 100)+string(rune('a'+i%26))+strings.Repeat("m", i/26), "child"))
	}
	if err := fsx.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	only(t, dir)
}

func TestLockExcludesAndCleansUp(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "lock")
	var wg sync.WaitGroup
	var inside, total atomic.Int32 // the race detector does not know that a file lock orders
	for range 8 {
		wg.Go(func() {
			unlock, err := fsx.Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d inside the lock", n)
			}
			total.Add(1)
			inside.Add(-1)
			if err := unlock(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if total.Load() != 8 {
		t.Errorf("%d of 8 had the lock", total.Load())
	}
	only(t, dir)
}

func TestLockWhereThereAreNone(t *testing.T) {
	t.Cleanup(fsx.WithoutLocks())
	dir := t.TempDir()
	var unlocks []func() error
	for range 2 { // it is a hint: both get it
		unlock, err := fsx.Lock(t.Context(), filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		unlocks = append(unlocks, unlock)
	}
	for _, unlock := range unlocks {
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
	only(t, dir)
}

func TestLockHonoursContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := fsx.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fsx.TryLock(path); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("second TryLock: %v, want EWOULDBLOCK", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	t.Cleanup(fsx.OnBlocking(func() { cancel(enough) }))
	if _, err := fsx.Lock(ctx, path); !errors.Is(err, enough) {
		t.Errorf("Lock: %v, want the context's error", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

// Those who wait do so in the kernel, which wakes them; they do not look again at intervals.
func TestLockWakesAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := fsx.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	const waiters = 16
	waiting := make(chan struct{}, waiters*waiters) // of those who wait each may have to do so again after each of the others
	t.Cleanup(fsx.OnBlocking(func() { waiting <- struct{}{} }))
	var done sync.WaitGroup
	for range waiters {
		done.Go(func() {
			unlock, err := fsx.Lock(t.Context(), path)
			if err == nil {
				err = unlock()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	for n := range waiters {
		select {
		case <-waiting:
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d wait in the kernel", n, waiters)
		}
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	only(t, filepath.Dir(path))
}

// Who has given up waiting does not take the lock from those who have not.
func TestLockGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := fsx.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(fsx.OnBlocking(cancel))
	given := make(chan error, 1)
	go func() { _, err := fsx.Lock(ctx, path); given <- err }()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = fsx.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
}

func TestHold(t *testing.T) {
	dir := t.TempDir()
	var held []*os.File
	for range 2 { // any number of processes may hold it
		f, err := fsx.Hold(dir)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, f)
	}
	other, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	exclusive := func() error { return syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	if err := exclusive(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("locked under those who hold it: %v", err)
	}
	for _, f := range held {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := exclusive(); err != nil {
		t.Errorf("still held: %v", err)
	}
	if f, err := fsx.Hold(dir); err != nil { // somebody has it alone; then being open must do
		t.Error(err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestIsFull(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Err: syscall.ENOSPC}: true, syscall.EDQUOT: true, syscall.EIO: false, nil: false,
	} {
		if fsx.IsFull(err) != want {
			t.Errorf("IsFull(%v) = %v", err, !want)
		}
	}
}

// only fails unless dir holds exactly the named entries.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func mkdirs(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}
