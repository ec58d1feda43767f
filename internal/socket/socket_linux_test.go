package socket_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/socket"
)

// dialerEnv has the test program connect to a socket in the directory that it names, and say how that went.
const dialerEnv = "TEST_SOCKET_DIALER"

const name = "talk"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dialerEnv); dir != "" {
		conn, err := socket.Dial(dir, name)
		if err == nil {
			var peer *unix.Ucred
			if peer, err = socket.Peer(conn); err == nil {
				_, err = fmt.Println("uid", peer.Uid)
			}
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func listen(t *testing.T, dir string) *net.UnixListener {
	t.Helper()
	l, err := socket.Listen(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// meet has both ends of a connection.
func meet(t *testing.T, l *net.UnixListener, dir string) (ours, theirs *net.UnixConn) {
	t.Helper()
	ours, err := socket.Dial(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	if theirs, err = l.AcceptUnix(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}

// TestLongPath: the directory's path alone is many times longer than a socket's address.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat(strings.Repeat("d", 200)+"/", 10))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := listen(t, dir)
	ours, theirs := meet(t, l, dir)
	for end, conn := range map[string]*net.UnixConn{"who connected": theirs, "who listened": ours} {
		peer, err := socket.Peer(conn)
		if err != nil || int(peer.Pid) != os.Getpid() || int(peer.Uid) != os.Geteuid() || int(peer.Gid) != os.Getegid() {
			t.Errorf("%s: %+v, %v", end, peer, err)
		}
	}
	if _, err := ours.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := theirs.Read(got); err != nil || string(got) != "word" {
		t.Errorf("%q, %v", got, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
		t.Errorf("the name went with the listener: %v", err)
	}
}

// TestNobody: what is there instead of somebody who listens.
func TestNobody(t *testing.T) {
	elsewhere := t.TempDir()
	listen(t, elsewhere)
	for what, c := range map[string]struct {
		make func(path string) error
		want error
	}{
		"nothing":                  {func(string) error { return nil }, fs.ErrNotExist},
		"a link to a socket":       {func(path string) error { return os.Symlink(filepath.Join(elsewhere, name), path) }, socket.ErrNoSocket},
		"a link to nothing":        {func(path string) error { return os.Symlink("nowhere", path) }, socket.ErrNoSocket},
		"a file":                   {func(path string) error { return os.WriteFile(path, nil, 0o600) }, socket.ErrNoSocket},
		"a directory":              {func(path string) error { return os.Mkdir(path, 0o700) }, socket.ErrNoSocket},
		"a pipe":                   {func(path string) error { return unix.Mkfifo(path, 0o600) }, socket.ErrNoSocket},
		"a dead process's socket":  {dead, unix.ECONNREFUSED},
		"a socket that is not yet": {bound, unix.ECONNREFUSED},
	} {
		dir := t.TempDir()
		if err := c.make(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if conn, err := socket.Dial(dir, name); !errors.Is(err, c.want) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: connected to %v, %v", what, conn, err)
		}
		if what == "nothing" {
			continue
		}
		if l, err := socket.Listen(dir, name); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("%s: listens at %v, %v", what, l, err)
		}
	}
	for _, dir := range []string{"/nowhere", "/dev/null"} {
		if l, err := socket.Listen(dir, name); err == nil {
			t.Errorf("%s: listens at %v", dir, l)
		}
		if conn, err := socket.Dial(dir, name); err == nil {
			t.Errorf("%s: connected to %v", dir, conn)
		}
	}
}

// dead leaves the socket of a process that was killed: nobody has it open any more.
func dead(path string) error {
	l, err := socket.Listen(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return err
	}
	return l.Close()
}

// bound makes a socket at which nobody listens. It stays open as long as the test's process.
func bound(path string) error {
	f, err := socket.Bind(filepath.Dir(path), filepath.Base(path))
	if err == nil {
		kept = append(kept, f)
	}
	return err
}

var kept []*os.File

// TestFull: a listener that takes nobody in keeps nobody waiting for ever.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, name)}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		conn, err := socket.Dial(dir, name)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	t.Error("nobody was turned away")
}

// TestOtherUser: who connects is told by the kernel, whoever may open the socket.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "another user is to connect")
	}
	dir := t.TempDir()
	l := listen(t, dir)
	for d := dir; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) { // that he comes so far is not what is tested
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, name), 0o666); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			failed <- errno
			return
		}
		conn, err := socket.Dial(dir, name)
		if err == nil {
			err = conn.Close()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	conn, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if peer, err := socket.Peer(conn); err != nil || peer.Uid != nobody {
		t.Errorf("%+v, %v", peer, err)
	}
}

// TestOtherNamespace: ids are told as those who look have them.
func TestOtherNamespace(t *testing.T) {
	need.UserNS(t)
	dir := t.TempDir()
	l := listen(t, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for inside, want := range map[int]string{0: "uid 0\n", 7: "uid 7\n"} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), dialerEnv+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: os.Getegid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("as %d from inside: %q, %v, want %q", inside, out, err, want)
		}
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if peer, err := socket.Peer(conn); err != nil || int(peer.Uid) != os.Geteuid() || int(peer.Pid) != cmd.Process.Pid {
			t.Errorf("of %d: %+v, %v", inside, peer, err)
		}
		_ = conn.Close()
	}
}
