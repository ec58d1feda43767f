package detach

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// act says what the link of a test does, which is the test's own program.
const act = "CORACLE_TEST_ACT"

func TestMain(m *testing.M) {
	if link := Taken(); link != nil {
		os.Exit(beLink(link))
	}
	if os.Getenv(act) == "front" {
		os.Exit(beFront())
	}
	os.Exit(m.Run())
}

// beLink is a link's life.
func beLink(link *Link) int {
	hear := make(chan os.Signal, 1)
	signal.Notify(hear, unix.SIGUSR1, unix.SIGHUP)
	switch does := os.Getenv(act); does {
	case "parts":
		if _, set := os.LookupEnv(variable); set || os.Getppid() == 1 {
			return 9
		}
		if err := link.Part("its word"); err != nil {
			return 8
		}
		return 0
	case "fails":
		return 3
	case "is killed":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "hears":
		_ = unix.Kill(os.Getppid(), unix.SIGUSR1) // which the front passes back
		if <-hear == unix.SIGUSR1 {
			return 4
		}
	case "front": // of a front that is killed
		println(strconv.Itoa(os.Getpid()))
		if <-hear == unix.SIGHUP {
			println("asked to end")
		}
	}
	return 7
}

// beFront is a front that a test kills.
func beFront() int {
	_, _ = Start(nil, func() error { return nil })
	return 0
}

func TestStart(t *testing.T) {
	for _, c := range []struct {
		does string
		want End
	}{
		{"parts", End{Parted: true, Word: "its word"}},
		{"fails", End{Code: 3}},
		{"is killed", End{Code: 137}},
		{"hears", End{Code: 4}},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Setenv(act, c.does)
			end, err := Start([]os.Signal{unix.SIGUSR1}, func() error { return nil })
			if err != nil || end != c.want {
				t.Errorf("%+v, %v", end, err)
			}
		})
	}
}

// TestFrontIsKilled: nobody would hear of what the link has begun, so it is asked to end.
func TestFrontIsKilled(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), act+"=front")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(said)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	text, err := lines.ReadString('\n')
	if err != nil || strings.TrimSpace(text) != "asked to end" {
		t.Errorf("%q, %v", text, err)
	}
	_ = cmd.Wait() // it was killed
}

// TestNoLink: a variable of that name is no socket.
func TestNoLink(t *testing.T) {
	t.Setenv(variable, "1")
	if link := take(); link != nil {
		t.Error("it takes what is somebody else's")
	}
}
