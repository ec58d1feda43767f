package proc_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/socket"
)

// listenEnv has the test program listen on an inherited socket, say so and wait for the end of its input.
const listenEnv = "TEST_PROC_LISTEN"

func TestMain(m *testing.M) {
	if os.Getenv(listenEnv) == "" {
		os.Exit(m.Run())
	}
	if err := unix.Listen(3, 1); err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("listening\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// listening starts a process that listens at a path, in new namespaces if there are flags for them. end ends it.
func listening(t *testing.T, path string, flags uintptr) (end func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { _ = socket.Close() })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), listenEnv+"=1")
	cmd.ExtraFiles = []*os.File{socket}
	if cmd.SysProcAttr = (&syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: unix.SIGKILL}); flags != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(end)
	return end
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestPeerPids: whoever has begun to listen last is the peer, and how far below it is shows.
func TestPeerPids(t *testing.T) {
	path := filepath.Join(t.TempDir(), "beside")
	end := listening(t, path, 0)
	conn := dial(t, path)
	peer, err := socket.Peer(conn)
	if err != nil || int(peer.Uid) != os.Geteuid() {
		t.Fatalf("the peer is %+v, %v", peer, err)
	}
	if pids, err := proc.PeerPids(conn); err != nil || !slices.Equal(pids, []int{int(peer.Pid)}) {
		t.Errorf("beside this process: %v, %v, want %d alone", pids, err, peer.Pid)
	}
	end()
	if pids, err := proc.PeerPids(conn); !errors.Is(err, proc.ErrPeerGone) {
		t.Errorf("one that has ended: %v, %v", pids, err)
	}
	need.UserNS(t)
	path = filepath.Join(t.TempDir(), "below")
	listening(t, path, unix.CLONE_NEWUSER|unix.CLONE_NEWPID)
	if pids, err := proc.PeerPids(dial(t, path)); err != nil || len(pids) != 2 || pids[1] != 1 {
		t.Errorf("the first of a pid namespace below: %v, %v", pids, err)
	}
}
