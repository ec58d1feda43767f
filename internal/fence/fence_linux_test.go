//go:build cgo

package fence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/internal/need"
)

// inside names the directory that this test's own program is to be confined to: that lasts, and is not for the tests' process.
const inside = "CORACLE_TEST_FENCE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(inside); dir != "" {
		if err := json.NewEncoder(os.Stdout).Encode(confined(dir)); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// report is what the confined process saw: how each attempt went, "" for those that worked.
type report struct {
	Around   string
	Refused  map[string]string // what must not work
	Allowed  map[string]string // what must
	Free     []string          // threads without no_new_privs
	Threads  int
	Children map[string]string // the NoNewPrivs of processes, by where they were started
}

// confined confines itself to a directory while it starts threads without end, and tries what it can do then. Beside the directory
// is another one, outside.
func confined(dir string) (r report) {
	outside := filepath.Join(filepath.Dir(dir), "outside")
	before, err := os.OpenFile(filepath.Join(outside, "open"), os.O_WRONLY, 0)
	stop := threads()
	err = errors.Join(err, fence.Around(dir))
	r.Around = text(err)
	// Each goroutine has a thread of its own, many of them one that was there before.
	const tries = 40
	refused, allowed := make([]map[string]string, tries), make([]map[string]string, tries)
	var all, here sync.WaitGroup
	here.Add(tries)
	for n := range tries {
		all.Go(func() {
			runtime.LockOSThread()
			here.Done()
			here.Wait()
			refused[n] = escapes(dir, outside)
			allowed[n] = work(filepath.Join(dir, fmt.Sprint(n)))
		})
	}
	all.Wait()
	stop()
	r.Refused, r.Allowed = refused[0], allowed[0]
	for n := range tries {
		for what, how := range refused[n] {
			if how == "" {
				r.Refused[what] = ""
			}
		}
		for what, how := range allowed[n] {
			if how != "" {
				r.Allowed[what] = how
			}
		}
	}
	_, err = before.WriteString("more")
	r.Allowed["write to what was open"] = text(err)
	_, err = os.ReadFile(filepath.Join(outside, "secret"))
	r.Allowed["read elsewhere"] = text(err)
	r.Allowed["write elsewhere outside of the fence"] = text(fence.Outside(func() error {
		return os.WriteFile(filepath.Join(outside, "free"), nil, 0o600)
	}))
	r.Children = map[string]string{
		"inside":  child(func(f func() error) error { return f() }),
		"outside": child(fence.Outside),
	}
	r.Free, r.Threads = free()
	return r
}

// threads keeps some threads in system calls and starts and ends others, until stop is called.
func threads() (stop func()) {
	end := make(chan any)
	var all sync.WaitGroup
	for range 16 {
		var pipe [2]int
		if err := unix.Pipe(pipe[:]); err != nil {
			panic(err)
		}
		all.Go(func() { _, _ = unix.Read(pipe[0], make([]byte, 1)) }) // on the descriptor itself: the thread waits, not the runtime
		all.Go(func() { <-end; _ = unix.Close(pipe[1]) })
	}
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				var one sync.WaitGroup
				one.Go(runtime.LockOSThread) // ends its thread with itself
				one.Wait()
			}
		})
	}
	return func() { close(end); all.Wait() }
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// attempt opens a file; it is closed again.
func attempt(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// escapes are what a confined thread must not be able to do.
func escapes(dir, outside string) map[string]string {
	secret := filepath.Join(outside, "secret")
	fresh := func(name string) string { return filepath.Join(outside, fmt.Sprint(name, unix.Gettid())) }
	how := map[string]error{
		"write":             attempt(secret, unix.O_WRONLY),
		"write by a link":   attempt(filepath.Join(dir, "sub", "link", "secret"), unix.O_WRONLY),
		"create":            attempt(fresh("new"), unix.O_WRONLY|unix.O_CREAT),
		"create by a link":  attempt(filepath.Join(dir, "sub", "link", fmt.Sprint("by", unix.Gettid())), unix.O_WRONLY|unix.O_CREAT),
		"create nameless":   attempt(outside, unix.O_WRONLY|unix.O_TMPFILE),
		"mkdir":             unix.Mkdir(fresh("dir"), 0o700),
		"symlink":           unix.Symlink("x", fresh("link")),
		"fifo":              unix.Mkfifo(fresh("fifo"), 0o600),
		"remove":            unix.Unlink(filepath.Join(outside, "victim")),
		"link out":          unix.Link(filepath.Join(dir, "mine"), fresh("mine")),
		"link in":           unix.Link(secret, filepath.Join(dir, fmt.Sprint("brought", unix.Gettid()))),
		"rename out":        unix.Rename(filepath.Join(dir, "mine"), fresh("mine")),
		"rename in":         unix.Rename(secret, filepath.Join(dir, fmt.Sprint("moved", unix.Gettid()))),
		"the socket inside": socket(filepath.Join(dir, fmt.Sprint("socket", unix.Gettid()))),
	}
	if fence.ABI() >= 3 {
		how["truncate"] = unix.Truncate(secret, 0)
	}
	texts := map[string]string{}
	for what, err := range how {
		if texts[what] = text(err); err != nil && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EXDEV) { // the latter of links and renames
			texts[what] = ""
		}
	}
	return texts
}

func socket(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
}

// work is what a pull does in its store, below a fresh directory, and elsewhere.
func work(dir string) map[string]string {
	in := func(name string) string { return filepath.Join(dir, name) }
	how := map[string]error{"mkdir": errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(in("a"), 0o700), os.Mkdir(in("b"), 0o700))}
	how["create"] = os.WriteFile(in("a/file"), []byte("x"), 0o600)
	how["truncate"] = os.Truncate(in("a/file"), 0)
	how["link"] = os.Link(in("a/file"), in("b/linked"))
	how["rename"] = os.Rename(in("a/file"), in("b/file"))
	how["move a directory"] = os.Rename(in("a"), in("b/a"))
	how["symlink"] = os.Symlink("/etc/passwd", in("symlink"))
	how["fifo"] = unix.Mkfifo(in("fifo"), 0o600)
	how["whiteout"] = unix.Mknod(in("gone"), unix.S_IFCHR, 0)
	how["attribute"] = unix.Setxattr(in("b"), "user.overlay.opaque", []byte("y"), 0)
	how["nameless"] = nameless(dir, in("named"))
	how["remove"] = os.RemoveAll(in("b"))
	how["/dev/null"] = attempt(os.DevNull, unix.O_RDWR)
	how["by a link that was there before"] = os.WriteFile(filepath.Join(filepath.Dir(dir), "elsewhere", filepath.Base(dir)), nil, 0o600)
	texts := map[string]string{}
	for what, err := range how {
		texts[what] = text(err)
	}
	return texts
}

// nameless makes a file without a name and gives it one, as the store does (fsx).
func nameless(dir, name string) error {
	fd, err := unix.Open(dir, unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
}

// child is the NoNewPrivs of a process that start starts.
func child(start func(func() error) error) string {
	cmd := exec.Command("grep", "NoNewPrivs", "/proc/self/status")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = start(cmd.Start)
	}
	if err != nil {
		return err.Error()
	}
	raw, err := io.ReadAll(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(strings.TrimPrefix(string(raw), "NoNewPrivs:"))
}

// free are the threads without no_new_privs, which comes with being confined.
func free() (names []string, all int) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(filepath.Join("/proc/self/task", task.Name(), "status"))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			panic(err)
		}
		if all++; !strings.Contains(string(status), "NoNewPrivs:\t1") {
			names = append(names, task.Name())
		}
	}
	return names, all
}

// place is a directory to be confined to, with another one beside it.
func place(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	dir, outside := filepath.Join(base, "dir"), filepath.Join(base, "outside")
	for _, made := range []string{dir, outside, filepath.Join(base, "elsewhere")} {
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Join(outside, "secret"), filepath.Join(outside, "victim"), filepath.Join(outside, "open"), filepath.Join(dir, "mine")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "sub"), 0o700), os.Symlink("../elsewhere", filepath.Join(dir, "elsewhere")),
		os.Symlink("../../outside", filepath.Join(dir, "sub", "link"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAround: whatever threads a process has, and starts while it is being confined, none of them can change anything outside, but
// the one that is for that.
func TestAround(t *testing.T) {
	if !fence.Possible() {
		need.Missing(t, "landlock", fmt.Sprintf("the kernel's Landlock has ABI %d", fence.ABI()))
	}
	for range 3 {
		dir := place(t)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), inside+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		var r report
		if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if r.Around != "" {
			t.Fatal(r.Around)
		}
		for what, how := range r.Refused {
			if how == "" {
				t.Errorf("it could: %s", what)
			}
		}
		for what, how := range r.Allowed {
			if how != "" {
				t.Errorf("it could not: %s: %s", what, how)
			}
		}
		if len(r.Free) != 1 || r.Threads < 10 {
			t.Errorf("of %d threads %d are free, want 1", r.Threads, len(r.Free))
		}
		if r.Children["inside"] != "1" || r.Children["outside"] != "0" {
			t.Errorf("no_new_privs of processes: %v", r.Children)
		}
	}
}

// TestOutsideWithoutFence calls the function where nothing is confined.
func TestOutsideWithoutFence(t *testing.T) {
	want := errors.New("its error")
	if err := fence.Outside(func() error { return want }); !errors.Is(err, want) {
		t.Error(err)
	}
}
