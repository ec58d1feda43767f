package hostile_test

import (
	"encoding/gob"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

var update = flag.Bool("update", false, "write README.md anew")

// role, in the environment, makes this test binary one of its own tools.
const role = "HOSTILE_ROLE"

// The roles.
const (
	asIsland = "island" // sets the namespaces of the tests up, then becomes the tests
	asInside = "inside" // the tests, there
	asLaunch = "launch" // runs one command under some restrictions and measures it
	asLook   = "look"   // mounts layers and reads what overlayfs shows
)

func TestMain(m *testing.M) {
	flag.Parse()
	switch os.Getenv(role) {
	case asIsland:
		fail(island())
	case asLaunch:
		fail(launchChild())
	case asLook:
		fail(lookChild())
	}
	if *update {
		os.Exit(m.Run())
	}
	os.Exit(need.Unprivileged(onIsland{m}, "README.md"))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// onIsland runs the tests in namespaces of their own, in which nothing but the tests' own servers can be reached. Where the
// machine has no user namespaces it runs them as they are, and each says what it lacks.
type onIsland struct{ *testing.M }

func (o onIsland) Run() int {
	if os.Getenv(role) == asInside {
		// Many attacks wait most of their time, for a client that tries again.
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
		return o.M.Run()
	}
	cmd := self(asIsland, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = sameUser(unix.CLONE_NEWNET)
	if err := cmd.Start(); err != nil {
		return o.M.Run()
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may be over
		}
	}()
	// How it ended is in its state.
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 1
}

// self is this test binary in another role.
func self(as string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// sameUser makes a process in a new user and mount namespace who it is outside, with the capabilities to mount.
func sameUser(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN},
		Pdeathsig:   syscall.SIGKILL,
	}
}

// asRoot makes a process in a new user and mount namespace root there, as `coracle run` does to mount.
func asRoot() *syscall.SysProcAttr {
	attr := sameUser(0)
	attr.UidMappings[0].ContainerID, attr.GidMappings[0].ContainerID, attr.AmbientCaps = 0, 0, nil
	return attr
}

// become replaces this process by another program that has no capabilities.
func become(path string, argv, env []string) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("dropping capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	return fmt.Errorf("starting %s: %w", path, unix.Exec(path, argv, env))
}

// tell hands a value to another role.
func tell(to *os.File, value any) error { return gob.NewEncoder(to).Encode(value) }
