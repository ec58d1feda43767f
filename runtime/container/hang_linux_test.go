package container

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/rootfs"
)

// A keeper that hangs, at once or when it has been told to go, is ended, and the attempt with it.
func TestStartIsBounded(t *testing.T) {
	defer func(d time.Duration) { startPatience = d }(startPatience)
	startPatience = time.Millisecond
	for _, answers := range []bool{false, true} {
		keeper, other := hangingKeeper(t)
		if answers {
			if err := json.NewEncoder(other).Encode(Reply{User: &rootfs.User{}}); err != nil {
				t.Fatal(err)
			}
		}
		control, _, err := socketPair(unix.SOCK_SEQPACKET)
		if err != nil {
			t.Fatal(err)
		}
		box := &Container{keeper: keeper, control: control}
		err = box.begin(t.Context(), Config{Spec: &specs.Spec{Process: &specs.Process{}}})
		if !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "has not begun within 1ms") {
			t.Errorf("it answers: %t: %v", answers, err)
		}
		<-keeper.done
	}
}

// TestOwnerOfADeadKeeper: whoever asks whose process a container will be of is told that it died, and not of a file in /proc.
func TestOwnerOfADeadKeeper(t *testing.T) {
	keeper, other := hangingKeeper(t)
	p := &Prepared{keeper: keeper, ready: make(chan struct{})}
	close(p.ready)
	if owner, err := p.Owner(); err != nil || owner.PID != keeper.pid || owner.StartTime == 0 {
		t.Errorf("it lives: %+v, %v", owner, err)
	}
	if err := keeper.end(); err != nil {
		t.Fatal(err)
	}
	<-keeper.done
	if err := other.Close(); err != nil { // as its end does
		t.Fatal(err)
	}
	if _, err := p.Owner(); !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "its keeper died") {
		t.Errorf("it is dead: %v", err)
	}
	if _, err := p.Hold(t.Context(), Config{}, keeper.socket, nil); !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), "its keeper died") {
		t.Errorf("it is to hold a container: %v", err)
	}
}

// TestHeldByADeadKeeper: a keeper dies when it has said that it holds the container, and before it has said what that is.
func TestHeldByADeadKeeper(t *testing.T) {
	keeper, other := hangingKeeper(t)
	p := &Prepared{keeper: keeper, ready: make(chan struct{})}
	close(p.ready)
	socket, _, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	played := make(chan error, 1)
	go func() {
		files, err := ReceiveFiles(other)
		answers, asked := json.NewEncoder(other), json.NewDecoder(other)
		for _, answer := range []Reply{{User: &rootfs.User{}}, {Held: true}} {
			var request json.RawMessage
			err = errors.Join(err, asked.Decode(&request), answers.Encode(answer))
		}
		played <- errors.Join(err, keeper.end(), other.Close(), closeFiles(files))
	}()
	_, err = p.Hold(t.Context(), Config{Spec: &specs.Spec{Process: &specs.Process{}}}, socket, nil)
	if !errors.Is(err, ErrStart) || !strings.HasSuffix(err.Error(), "its keeper died") {
		t.Errorf("it says %v", err)
	}
	if err := <-played; err != nil {
		t.Error(err)
	}
}

// hangingKeeper is a process that does nothing in the keeper's place, with the other end of its socket.
func hangingKeeper(t *testing.T) (*keeper, *os.File) {
	t.Helper()
	socket, other, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k := &keeper{socket: socket, replies: json.NewDecoder(socket), pid: cmd.Process.Pid, end: cmd.Process.Kill, said: &head{}, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed
		close(k.done)
	}()
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), other.Close() })
	return k, other
}
