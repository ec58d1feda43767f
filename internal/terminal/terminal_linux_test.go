package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// act says what a test's own program does with its terminal.
const act = "CORACLE_TEST_ACT"

func TestMain(m *testing.M) {
	switch os.Getenv(act) {
	case "":
		os.Exit(m.Run())
	case "panics":
		t := borrow()
		t.Guard(func() { panic("a fault") })
		select {}
	case "returns":
		t := borrow()
		t.Follow(func(Size) {}, os.Stdin)
		t.Suspend()
		err := errors.Join(t.Raw(), t.Return(), t.Return(), t.Raw())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// borrow takes the terminal of this program, which is not what it was then.
func borrow() *Terminal {
	t := Borrow(os.Stdin)
	was, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil || t.Raw() != nil {
		os.Exit(3)
	}
	if is, err := unix.IoctlGetTermios(0, unix.TCGETS); err != nil || *is == *was {
		os.Exit(4)
	}
	return t
}

// pty is a terminal: the side of the screen, and that of programs.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		need.Missing(t, "pty", err.Error())
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

func settings(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// TestGivenBack: a terminal is what it was also after a panic of a goroutine, and nothing takes it again once it was returned.
func TestGivenBack(t *testing.T) {
	for does, says := range map[string]string{"panics": "panic: a fault", "returns": ""} {
		_, slave := pty(t)
		before := settings(t, slave)
		var stderr strings.Builder
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), act+"="+does)
		cmd.Stdin, cmd.Stderr = slave, &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
		err := cmd.Run()
		if (err != nil) != (says != "") || !strings.Contains(stderr.String(), says) {
			t.Errorf("%s: %v: %s", does, err, stderr.String())
		}
		if after := settings(t, slave); after != before {
			t.Errorf("%s: the terminal was\n%+v and is\n%+v", does, before, after)
		}
	}
}

// TestNoTerminal: to what is none nothing happens.
func TestNoTerminal(t *testing.T) {
	f := file(t)
	b := Borrow(f)
	b.Follow(func(Size) { t.Error("it has no size") }, nil, f)
	if err := errors.Join(b.Raw(), b.Hold(), b.Return()); err != nil || Is(f) || Is(nil) {
		t.Error(err)
	}
}

func TestSize(t *testing.T) {
	_, slave := pty(t)
	if size, ok := SizeOf(slave); ok {
		t.Errorf("%+v of one that has none", size)
	}
	want := Size{Rows: 7, Cols: 9}
	Resize(slave, want)
	if size, ok := SizeOf(nil, file(t), slave); !ok || size != want {
		t.Errorf("%+v", size)
	}
}
