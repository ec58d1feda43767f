package gpu

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// soon is for helpers that never answer: what ends the wait for them.
const soon = 200 * time.Millisecond

func open(t *testing.T, place Place) *Helper {
	t.Helper()
	h, err := Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestHelperAnswers(t *testing.T) {
	place := fake(t, "works")
	place.DriverRoot = "/opt/driver"
	h := open(t, place)
	inventory, err := h.List(t.Context())
	if err != nil || inventory.Driver != "/opt/driver" {
		t.Errorf("%+v, %v", inventory, err)
	}
	cdi, err := h.Spec(t.Context(), SpecRequest{UUIDs: []string{"GPU-1"}, Capabilities: []string{"compute"}, CUDACompat: CompatOff})
	if err != nil || string(cdi) != `{"uuids":["GPU-1"],"capabilities":["compute"],"cuda_compat":"off"}` {
		t.Errorf("%s, %v", cdi, err)
	}
	readings, err := h.Watch(t.Context(), []string{"a", "b"})
	if err != nil || len(readings) != 2 || readings[1].UUID != "b" {
		t.Errorf("%+v, %v", readings, err)
	}
	if n := len(slices.DeleteFunc(h.Warnings(), func(w string) bool { return w != "same" })); n != 1 {
		t.Errorf("a warning was kept %d times", n)
	}
	if err := errors.Join(h.Close(), h.Close()); err != nil {
		t.Error(err)
	}
	if _, err := h.List(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed helper: %v", err)
	}
}

// A helper runs a driver's code with the caller's rights: it gets nothing that it does not need.
func TestHelperInheritsNothing(t *testing.T) {
	t.Setenv("LD_PRELOAD", "/nosuch.so")
	leak, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY, 0) // as a shell would: not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	h := open(t, fake(t, "works"))
	if _, err := h.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range h.Warnings() {
		if w != "same" && !strings.HasPrefix(w, "env PWD=") && !strings.HasPrefix(w, "env OLDPWD=") && w != "env _=" { // of the script's shell
			got = append(got, w)
		}
	}
	want := []string{"env LC_ALL=C", "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "dir /"}
	if !slices.Equal(got, want) {
		t.Errorf("inherited %q, want %q", got, want)
	}
}

func TestHelperFailures(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		want      error
		says      string
	}{
		{hung, ErrHung, "within 200ms, and was killed: asking the driver"},
		{"hangs-with-child", ErrHung, "was killed"},
		{"crashes", ErrHelper, "it ended before it answered: exit status 2: panic: no such symbol"},
		{"goes", ErrHelper, "it ended before it answered: without a word"},
		{"cuts", ErrHelper, "it ended before it answered"},
		{"garbage", ErrHelper, `what it says is no answer: "Segmentation fault \x1b[31m\n"`},
		{"endless", ErrHelper, "its answer is too long"},
		{"newer", ErrVersion, fmt.Sprintf("it speaks protocol %d, and this Coracle %d", Protocol+1, Protocol)},
		{"older", ErrVersion, "it speaks protocol 0"},
		{"mute", ErrHelper, "it has not answered what was asked: list"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Parallel()
			place := fake(t, c.behaviour)
			if errors.Is(c.want, ErrHung) {
				place.Patience = soon
			}
			h := open(t, place)
			for end := time.Now().Add(time.Minute); c.behaviour == hung && h.process.said.String() == "" && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // until it runs
			}
			_, err := h.List(t.Context())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 5000 {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
			if _, again := h.Watch(t.Context(), nil); !errors.Is(again, c.want) {
				t.Errorf("asked again: %v", again)
			}
		})
	}
}

// A failure is an answer: the helper lives on, and the next one may be better.
func TestDriverFailures(t *testing.T) {
	for kind, want := range map[FailureKind]error{
		NoDriver: ErrNoDriver, DriverBroken: ErrDriver, NotPermitted: ErrPermission, UnknownDevice: ErrUnknownDevice, BadRequest: ErrHelper, Internal: ErrHelper, "new": ErrHelper,
	} {
		h := open(t, fake(t, string(kind)+":why"))
		for range 2 {
			if _, err := h.List(t.Context()); !errors.Is(err, want) || !strings.HasSuffix(err.Error(), ": why") {
				t.Errorf("%s: %v, want %v", kind, err, want)
			}
		}
	}
}

func TestHelperNotFound(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "nosuch"): "no program " + filepath.Join(dir, "nosuch"),
		write("plain", 0o644):        "permission denied",
		write("open", 0o777):         "everybody may write to it",
		dir:                          "it is no file",
		"":                           "no program " + filepath.Join(filepath.Dir(self(t)), HelperName) + " or ",
	} {
		if _, err := Open(t.Context(), Place{Helper: path}); !errors.Is(err, ErrNoHelper) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", path, err, says)
		}
	}
}

// TestHelperOfOthers: what somebody else has put where the helper would be is not run.
func TestHelperOfOthers(t *testing.T) {
	mine := os.Getuid()
	for _, place := range []string{"bin", "libexec/coracle"} {
		root := t.TempDir()
		helper := filepath.Join(root, place, HelperName)
		if err := errors.Join(os.MkdirAll(filepath.Dir(helper), 0o755), os.MkdirAll(filepath.Join(root, "bin"), 0o755), need.WriteProgram(helper, nil)); err != nil {
			t.Fatal(err)
		}
		self := filepath.Join(root, "bin", "coracle")
		if path, err := beside(self, []int{mine}); err != nil || path != helper {
			t.Errorf("%s: %s, %v", place, path, err)
		}
		if path, err := beside(self, []int{mine + 1}); !errors.Is(err, ErrNoHelper) || !strings.Contains(err.Error(), "belongs to user") {
			t.Errorf("%s: %s, %v", place, path, err)
		}
	}
}

func TestHelperIsInterrupted(t *testing.T) {
	h := open(t, fake(t, "hangs"))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the user is tired")
	cancel(why)
	if _, err := h.List(ctx); !errors.Is(err, why) {
		t.Error(err)
	}
}

func TestCloseDoesNotWait(t *testing.T) {
	h := open(t, fake(t, "hangs"))
	asked := make(chan error)
	go func() {
		_, err := h.List(context.WithoutCancel(t.Context()))
		asked <- err
	}()
	for h.process.said.String() == "" { // it has been asked
		select {
		case err := <-asked:
			t.Fatal(err)
		default:
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := <-asked; !errors.Is(err, ErrHelper) {
		t.Error(err)
	}
}

// parentArg is the first argument by which the test's program opens the helper of the second, and says its number.
const parentArg = "open-helper"

func beParent(helper string) int {
	h, err := Open(context.Background(), Place{Helper: helper})
	if err == nil {
		_, err = h.List(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(h.process.cmd.Process.Pid)
	select {}
}

// Whatever kills the supervisor kills the helper, also one that would not notice the end of its input.
func TestHelperDiesWithItsParent(t *testing.T) {
	parent := exec.Command(self(t), parentArg, fake(t, "works").Helper)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, scanErr := fmt.Sscan(line, &pid); err != nil || scanErr != nil {
		t.Fatalf("%q, %v", line, errors.Join(err, parent.Process.Kill()))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil { // it cannot notice anything any more
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 || err != nil {
			t.Errorf("process %d has outlived its parent: %v", pid, err)
		}
		return
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
