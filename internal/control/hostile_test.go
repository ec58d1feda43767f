package control

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/socket"
)

// insideEnv has the test program play a job that has found the socket, in the directory that it names; poseEnv, one that serves there.
const (
	insideEnv = "TEST_CONTROL_INSIDE"
	poseEnv   = "TEST_CONTROL_POSE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(insideEnv); dir != "" {
		os.Exit(inside(dir))
	}
	if dir := os.Getenv(poseEnv); dir != "" {
		os.Exit(pose(dir))
	}
	os.Exit(m.Run())
}

// inside asks for something from within a user namespace, and prints what comes of it.
func inside(dir string) int {
	conn, err := socket.Dial(dir, socketName)
	if err != nil {
		fmt.Println("not connected:", err)
		return 1
	}
	c := &Conn{socket: conn}
	_, err = c.Call(context.Background(), "nothing", nil, nil)
	if e, ok := errors.AsType[*Error](err); ok {
		fmt.Println(e.Kind)
	} else {
		fmt.Println("unexpected:", err)
	}
	return 0
}

// pose serves as a supervisor does, until its input ends.
func pose(dir string) int {
	if _, err := Serve(dir, table()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("serving")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// serves makes sure that a server still does.
func serves(t *testing.T, p Peer) {
	t.Helper()
	var got string
	if _, err := dial(t, p).Call(t.Context(), "upper", "abc", &got); err != nil || got != "ABC" {
		t.Errorf("the server does not serve any more: %q, %v", got, err)
	}
}

func raw(t *testing.T, p Peer) *Conn {
	t.Helper()
	conn, err := socket.Dial(p.Dir, socketName)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Conn{socket: conn}
}

// answer is the kind of error that comes, or what else does.
func answer(c *Conn) string {
	var r reply
	switch _, err := c.Receive(&r); {
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		return "hung up"
	case err != nil:
		return err.Error()
	case !r.Failed:
		return "served"
	}
	return r.Kind
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// noLeak makes sure that what a test does leaves no descriptor open.
func noLeak(t *testing.T, what func()) {
	t.Helper()
	runtime.GC() // what earlier tests have left to finalizers
	before := descriptors(t)
	what()
	after := descriptors(t)
	for end := time.Now().Add(time.Minute); after > before && time.Now().Before(end); after = descriptors(t) { // the other side closes them, too
		time.Sleep(time.Millisecond)
	}
	if after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		need.Missing(t, "root", "another user is to connect")
	}
	p := serve(t, t.TempDir(), table())
	for dir := p.Dir; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) { // that he comes so far is not what is tested
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(p.Dir, socketName), 0o666); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		const nobody = 65534
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			got <- errno.Error()
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(p.Dir, socketName)})
		}
		if err != nil {
			got <- err.Error()
			return
		}
		n, err := unix.Read(fd, make([]byte, 1))
		got <- fmt.Sprint(n, err, unix.Close(fd))
	}()
	if text := <-got; text != "0 <nil> <nil>" {
		t.Errorf("another user got %s, want the end of the connection", text)
	}
	serves(t, p)
}

// TestInside: a job is the same user, and may have the store among its volumes.
func TestInside(t *testing.T) {
	need.UserNS(t)
	p := serve(t, t.TempDir(), table())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), insideEnv+"="+p.Dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != KindStranger+"\n" {
		t.Errorf("from inside: %q, %v, want %s", out, err, KindStranger)
	}
	serves(t, p)
}

// TestPose: a job that can write records may name itself as the supervisor in one, and serve.
func TestPose(t *testing.T) {
	need.UserNS(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		flags uintptr
		err   error
	}{
		{"a process beside this one", unix.CLONE_NEWUSER, nil},
		{"one of a container", unix.CLONE_NEWUSER | unix.CLONE_NEWPID, ErrForeign},
	} {
		dir := t.TempDir()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), poseEnv+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: c.flags, Pdeathsig: unix.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		in, inErr := cmd.StdinPipe()
		out, outErr := cmd.StdoutPipe()
		if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 100)
		if n, err := out.Read(said); string(said[:n]) != "serving\n" {
			t.Fatalf("%s: %q, %v", c.name, said[:n], err)
		}
		owner, err := host.Child(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := Dial(t.Context(), Peer{Owner: owner, Dir: dir})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if err == nil {
			_ = conn.Close()
		}
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestStrangers(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	mounts, err := os.Open("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for name, files := range map[string][]*os.File{"no file": nil, "another file": {null}, "another namespace": {mounts}} {
		c := raw(t, p)
		if err := c.Send(request{Operation: "nothing"}, files...); err != nil && !gone(err) { // it may be refused before it has been read
			t.Fatal(err)
		}
		if got := answer(c); got != KindStranger {
			t.Errorf("%s: %s", name, got)
		}
	}
	serves(t, p)
}

func TestGarbage(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	own, err := userNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	rights, err := rightsOf([]*os.File{own})
	if err != nil {
		t.Fatal(err)
	}
	head := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	noise := make([]byte, 64<<10)
	_, _ = rand.Read(noise)
	noise[0] = 0xff
	for name, text := range map[string][]byte{
		"noise":              noise,
		"a length of 4 GiB":  head(1<<32 - 1),
		"one byte too many":  head(maxMessage + 1),
		"no JSON":            append(head(3), "abc"...),
		"JSON of other make": append(head(2), "[]"...),
		"nothing at all":     head(0),
		"half a length":      {0},
		"half a message":     append(head(100), "{"...),
	} {
		noLeak(t, func() {
			c := raw(t, p)
			if _, _, err := c.socket.WriteMsgUnix(text, rights, nil); err != nil {
				t.Fatal(err)
			}
			if err := c.socket.CloseWrite(); err != nil && !errors.Is(err, unix.ENOTCONN) {
				t.Fatal(err)
			}
			if got := answer(c); got != KindRequest {
				t.Errorf("%s: %s", name, got)
			}
			_ = c.Close()
		})
	}
	serves(t, p)
}

// TestManyFiles: of messages with more descriptors than anybody has asked for none stays open.
func TestManyFiles(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	for _, n := range []int{MaxFiles + 1, 100, 253} {
		noLeak(t, func() {
			files := make([]*os.File, n)
			for i := range files {
				file, err := userNamespace()
				if err != nil {
					t.Fatal(err)
				}
				files[i] = file
			}
			rights, err := rightsOf(files)
			if err != nil {
				t.Fatal(err)
			}
			c := raw(t, p)
			if _, _, err := c.socket.WriteMsgUnix([]byte{0, 0, 0, 2, '{', '}'}, rights, nil); err != nil {
				t.Fatal(err)
			}
			CloseAll(files)
			if got := answer(c); got != KindRequest {
				t.Errorf("%d files: %s", n, got)
			}
			_ = c.Close()
		})
	}
	noLeak(t, func() { // and more in the middle of a message, which was not what they were looked for in
		own, err := userNamespace()
		if err != nil {
			t.Fatal(err)
		}
		rights, err := rightsOf([]*os.File{own})
		if err != nil {
			t.Fatal(err)
		}
		c := raw(t, p)
		text := `{"operation":"nothing"}`
		for _, part := range []string{"\x00\x00\x00\x17", text[:5], text[5:]} {
			if _, _, err := c.socket.WriteMsgUnix([]byte(part), rights, nil); err != nil {
				t.Fatal(err)
			}
		}
		CloseAll([]*os.File{own})
		if got := answer(c); got != "served" {
			t.Errorf("with files in the middle: %s", got)
		}
		_ = c.Close()
	})
	serves(t, p)
}

// TestFilesOfFailedCalls: nor of a call that is refused, or whose operation does not want them.
func TestFilesOfFailedCalls(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	for _, operation := range []string{"nothing", "fail", "no such"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = dial(t, p).Call(t.Context(), operation, nil, nil, w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != nil { // an end: the supervisor has closed it
			t.Error(err)
		}
		_ = r.Close()
	}
}

// stalling are two who connect and do not say what they want.
func stalling(t *testing.T, p Peer) (silent, slow *Conn) {
	t.Helper()
	silent, slow = raw(t, p), raw(t, p)
	if _, err := slow.socket.Write([]byte{0}); err != nil && !gone(err) { // hung up on already
		t.Fatal(err)
	}
	return silent, slow
}

// TestStallingHoldsNobody: who says nothing keeps nobody else waiting.
func TestStallingHoldsNobody(t *testing.T) {
	set(t, &greeting, time.Hour)
	p := serve(t, t.TempDir(), table())
	stalling(t, p)
	serves(t, p)
}

// TestStallingEnds: and is hung up on.
func TestStallingEnds(t *testing.T) {
	set(t, &greeting, 200*time.Millisecond)
	silent, slow := stalling(t, serve(t, t.TempDir(), table()))
	for name, c := range map[string]*Conn{"silent": silent, "slow": slow} {
		if got := answer(c); got != KindRequest {
			t.Errorf("%s: %s", name, got)
		}
		if got := answer(c); got != "hung up" {
			t.Errorf("%s: %s after the error", name, got)
		}
	}
}

// TestUnread: an operation does not wait for ever for a peer that reads nothing.
func TestUnread(t *testing.T) {
	set(t, &sendPatience, 100*time.Millisecond)
	p := serve(t, t.TempDir(), table())
	own, err := userNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	c := raw(t, p)
	if err := c.Send(request{Operation: "flood"}, own); err != nil {
		t.Fatal(err)
	}
	if err := <-flooded; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the operation got %v", err)
	}
	serves(t, p)
}

func TestTooManyConnections(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	var held []*Conn
	for range maxConns {
		c := dial(t, p)
		if _, err := c.Call(t.Context(), "count", nil, nil); err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	_, err := dial(t, p).Call(t.Context(), "upper", strings.Repeat("a", 1<<20), nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindBusy {
		t.Errorf("one too many: %v", err)
	}
	for _, c := range held {
		_ = c.Close()
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // until the server has seen that
		c := dial(t, p)
		_, err = c.Call(t.Context(), "nothing", nil, nil)
		_ = c.Close()
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindBusy {
			break
		}
	}
	if err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestServeTwice: a directory has one server.
func TestServeTwice(t *testing.T) {
	p := serve(t, t.TempDir(), table())
	if s, err := Serve(p.Dir, table()); err == nil {
		_ = s.Close()
		t.Error("two serve in one directory")
	} else if op, ok := errors.AsType[*net.OpError](err); !ok || !errors.Is(op, unix.EADDRINUSE) {
		t.Errorf("error: %v", err)
	}
	serves(t, p)
}
