package network_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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

var helpers = []string{"pasta", "slirp4netns"}

// serving is a job that answers until it is stopped.
type serving struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader
	said  string // before it began to serve
}

// serve starts a job that reaches out at once and then answers.
func (b *box) serve(options, targets []string) *serving {
	b.t.Helper()
	cmd := b.command(b.peerArgs("serve", append([]string{"-i"}, options...), targets)...)
	cmd.Stderr = b.t.Output()
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if inErr != nil || outErr != nil {
		b.t.Fatal(inErr, outErr)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	s := &serving{t: b.t, cmd: cmd, stdin: stdin, lines: bufio.NewReader(stdout)}
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			b.t.Fatalf("the job does not serve: %v, %v: %s", err, cmd.Wait(), s.said)
		}
		if line == "serving\n" {
			return s
		}
		s.said += line
	}
}

func (s *serving) stop() {
	s.t.Helper()
	if err := s.stdin.Close(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the job ended with %v", err)
	}
}

// want is what peer prints.
func want(answers map[string]string, targets ...string) string {
	var text strings.Builder
	for _, target := range targets {
		answer := answers[target]
		if answer == "" {
			answer = "-"
		}
		fmt.Fprintln(&text, target, answer)
	}
	return text.String()
}

var inTheWorld = map[string]string{
	"tcp=" + world4 + ":7001": "world", "udp=" + world4 + ":7001": "world", "name=world.example": named,
	"tcp=[" + world6 + "]:7001": "world6", "tcp=host.test:7001": "world", "addresses=": "settled",
}

// TestPrivate: with its first connection, a job reaches the world and not the host's own; and it is reached by its ports.
func TestPrivate(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	inhabit(t)
	for _, helper := range helpers {
		t.Run(helper, func(t *testing.T) {
			b := *b
			b.t = t
			only(t, &b, helper)
			options := []string{"--network", "private", "--add-host", "host.test:host-gateway", "-p", "8080:80", "-p", "5000:80/udp", "-p", "80", "--name", "served-" + helper}
			reached := []string{"tcp=127.0.0.1:8080", "tcp=" + world4 + ":8080", "udp=" + world4 + ":5000"}
			targets := slices.Concat([]string{"addresses="}, worldly, []string{"tcp=host.test:7001"}, secrets)
			if helper == "pasta" {
				options = append(options, "-p", "[::1]:8081:80", "-p", "127.0.0.1:8082:80")
				reached = append(reached, "tcp=[::1]:8080", "tcp=["+world6+"]:8080", "udp=["+world6+"]:5000", "tcp=[::1]:8081", "tcp=127.0.0.1:8082")
				targets = append(targets, "tcp=["+world6+"]:7001")
			}
			s := b.serve(options, targets)
			if want := want(inTheWorld, targets...); s.said != want {
				t.Errorf("the job reaches:\n%s\nwant:\n%s", s.said, want)
			}
			reached = append(reached, "tcp="+b.random("served-"+helper, helper))
			for _, target := range reached {
				if got := reach(target); got != "job" {
					t.Errorf("%s answers %q", target, got)
				}
			}
			if got := reach("tcp=127.0.0.1:8081"); got != "-" {
				t.Errorf("what was published for one address answers on another: %s", got)
			}
			b.inUse(s)
			s.stop()
		})
	}
}

// TestDatagramsOnLoopback: UDP is answered on the host's loopback addresses where both ports are the same, by every version of pasta.
func TestDatagramsOnLoopback(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	only(t, b, "pasta")
	s := b.serve([]string{"--network", "private", "-p", servedPort + ":" + servedPort + "/udp"}, nil)
	for _, target := range []string{"udp=127.0.0.1:" + servedPort, "udp=[::1]:" + servedPort, "udp=127.0.0.1:" + servedPort} {
		if got := reach(target); got != "job" {
			t.Errorf("%s answers %q", target, got)
		}
	}
	s.stop()
}

// random looks up the port that was chosen for port 80, by what the record says.
func (b *box) random(name, helper string) string {
	b.t.Helper()
	var run struct {
		Network string
		Private struct {
			Helper struct{ Name, Path, Version string }
			Ports  []struct{ Host, Inside int }
		}
	}
	text := b.ok("runs", "show", name, "--json")
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		b.t.Fatal(err)
	}
	p := run.Private
	if run.Network != "private" || p.Helper.Name != helper || p.Helper.Path == "" || p.Helper.Version == "" || len(p.Ports) < 3 {
		b.t.Fatalf("the record says:\n%s", text)
	}
	if page := b.ok("runs", "show", name); !strings.Contains(page, "*:8080->80/tcp") || !strings.Contains(page, helper) {
		b.t.Errorf("the page says:\n%s", page)
	}
	return fmt.Sprintf("127.0.0.1:%d", p.Ports[2].Host)
}

// inUse: a port that somebody has is named before the job begins, with who has it.
func (b *box) inUse(s *serving) {
	b.t.Helper()
	code, _, stderr := b.do("run", "--network", "private", "-p", "8080:80", b.ref, "echo", "begun")
	if code != 125 || !strings.Contains(stderr, "port 8080/tcp of the host is in use by") {
		b.t.Errorf("a port in use: status %d: %s", code, stderr)
	}
	own, err := net.Listen("tcp", "127.0.0.1:8090")
	if err != nil {
		b.t.Fatal(err)
	}
	defer own.Close()
	code, stdout, stderr := b.do("run", "--network", "private", "-p", "8090:80", b.ref, "echo", "begun")
	if !strings.Contains(stderr, fmt.Sprintf("(pid %d)", os.Getpid())) || code != 125 || stdout != "" {
		b.t.Errorf("a port of ours: status %d: %s%s", code, stdout, stderr)
	}
	code, _, stderr = b.do("run", "--network", "private", "-p", "52:80", b.ref, "echo", "begun")
	if code != 125 || !strings.Contains(stderr, "net.ipv4.ip_unprivileged_port_start=52") {
		b.t.Errorf("a port of root's: status %d: %s", code, stderr)
	}
	// Of a range, what is free is taken.
	if out := b.ok("run", "--network", "private", "-p", "8090-8099:80", b.ref, "echo", "begun"); out != "begun\n" {
		b.t.Errorf("a range that is free but for its first: %q", out)
	}
}

// TestModes: who the job is makes no difference to its network, nor whether it is PID 1.
func TestModes(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	inhabit(t)
	for _, helper := range helpers {
		for _, options := range [][]string{
			{"--user", "app"}, {"--userns", "root"}, {"--userns", "host-uid"}, {"--init=false"}, {"--read-only"}, {"--cap-add", "ALL"},
		} {
			t.Run(helper+" "+strings.Join(options, " "), func(t *testing.T) {
				b := *b
				b.t = t
				only(t, &b, helper)
				targets := slices.Concat([]string{"addresses="}, worldly, secrets)
				line := b.peerArgs("reach", append(options, "--network", "bridge"), targets)
				if got, want := b.ok(line...), want(inTheWorld, targets...); got != want {
					t.Errorf("the job reaches:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	}
}

// TestOwn: a job that may is master of its own network, also one that has a user namespace of its own because it may mount.
func TestOwn(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	for _, helper := range helpers {
		for _, more := range []string{"NET_ADMIN", "SYS_ADMIN"} {
			t.Run(helper+" "+more, func(t *testing.T) {
				b := *b
				b.t = t
				only(t, &b, helper)
				out := b.ok("run", "--network", "private", "--cap-add", "NET_ADMIN", "--cap-add", more, b.ref, "sh", "-c",
					"ip addr add 10.99.0.1/32 dev eth0 && ip -o -4 addr show eth0")
				if !strings.Contains(out, "10.99.0.1") {
					t.Errorf("the job has not given its device an address:\n%s", out)
				}
			})
		}
	}
}

// TestNone: a job without network reaches nothing, where one with the host's reaches all.
func TestNone(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	inhabit(t)
	targets := slices.Concat(worldly, secrets)
	if got, want := b.ok(b.peerArgs("reach", []string{"--network", "none"}, targets)...), want(nil, targets...); got != want {
		t.Errorf("without network the job reaches:\n%s\nwant:\n%s", got, want)
	}
	all := map[string]string{}
	for _, target := range secrets {
		all[target] = "secret"
	}
	for _, target := range worldly {
		all[target] = inTheWorld[target]
	}
	if got, want := b.ok(b.peerArgs("reach", nil, targets)...), want(all, targets...); got != want {
		t.Errorf("on the host's network the job reaches:\n%s\nwant:\n%s", got, want)
	}
	if got := b.ok("run", "--network", "none", b.ref, "ls", "/sys/class/net"); got != "lo\n" {
		t.Errorf("without network there are the devices %q", got)
	}
}

// TestBrokenHelper: what a helper says when it fails is told, and the job does not begin.
func TestBrokenHelper(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	dir := t.TempDir()
	need.Program(t, dir+"/pasta", "#!/bin/sh\n[ $1 = --version ] && echo pasta 1 && exit\necho the sea is rough >&2\nexit 1\n")
	b.env = append(b.env, "PATH="+dir)
	code, stdout, stderr := b.do("run", "--network", "private", b.ref, "echo", "begun")
	if code != 125 || stdout != "" || !strings.Contains(stderr, dir+"/pasta: the sea is rough") {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
}

// TestKilledSupervisor: whenever a supervisor is killed, nothing is left of the job's network.
func TestKilledSupervisor(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	adopt(t)
	rounds := 12
	if os.Getenv("CORACLE_TEST_TORTURE") != "" {
		rounds = 100
	}
	for _, helper := range helpers {
		t.Run(helper, func(t *testing.T) {
			b := *b
			b.t = t
			only(t, &b, helper)
			for round := range rounds {
				cmd := b.command("run", "--network", "private", "-p", "8080:80", b.ref, "sleep", "1000")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				pause(t, time.Duration(rand.IntN(120))*time.Millisecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait() // it was killed
				waitNothing(t, round)
			}
		})
	}
}

// processesOf are those of the program that connects a job's network.
func processesOf(t *testing.T, helper string) (pids []int) {
	t.Helper()
	for pid, name := range descendants(t) {
		if strings.HasPrefix(name, helper) || helper == "pasta" && strings.HasPrefix(name, "passt") {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		t.Fatalf("no %s among %v", helper, descendants(t))
	}
	return pids
}

// TestSignalledHelper: who signals all processes of a run, as a batch system does, leaves the job its network for as long as the job takes.
func TestSignalledHelper(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	for _, helper := range helpers {
		t.Run(helper, func(t *testing.T) {
			b := *b
			b.t = t
			only(t, &b, helper)
			s := b.serve([]string{"--network", "private", "-p", "8080:80"}, nil)
			for _, pid := range processesOf(t, helper) {
				for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGXCPU, 40} {
					if err := unix.Kill(pid, signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := reach("tcp=127.0.0.1:8080"); got != "job" {
				t.Errorf("the job's port answers %q", got)
			}
			s.stop()
		})
	}
}

// TestKilledHelper: the end of the program that connects the network is told while the job runs, and the job goes on. What that program has
// open is its own: nothing of the supervisor's and the keeper's.
func TestKilledHelper(t *testing.T) {
	if !onIsland(t) {
		return
	}
	b := newBox(t)
	for _, helper := range helpers {
		t.Run(helper, func(t *testing.T) {
			b := *b
			b.t = t
			only(t, &b, helper)
			cmd := b.command("run", "--network", "private", "-i", "--name", "lost-"+helper, b.ref, "cat")
			stdin, inErr := cmd.StdinPipe()
			stdout, outErr := cmd.StdoutPipe()
			stderr, errErr := cmd.StderrPipe()
			if err := errors.Join(inErr, outErr, errErr, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			answers, said := bufio.NewReader(stdout), bufio.NewReader(stderr)
			echo := func() {
				t.Helper()
				if _, err := io.WriteString(stdin, "there\n"); err != nil {
					t.Fatal(err)
				}
				if line, err := answers.ReadString('\n'); line != "there\n" {
					t.Fatalf("the job says %q, %v", line, err)
				}
			}
			echo()
			for _, pid := range processesOf(t, helper) {
				checkDescriptors(t, pid)
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			for {
				line, err := said.ReadString('\n')
				if err != nil {
					t.Fatalf("the end of %s is not told: %v", helper, err)
				}
				if strings.Contains(line, helper+", which connects the job's network, has ended before the job") {
					break
				}
			}
			echo()
			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("the job ended with %v", err)
			}
		})
	}
}

// checkDescriptors compares what a helper has open with what its parents have.
func checkDescriptors(t *testing.T, helper int) {
	t.Helper()
	own := descriptors(t, helper)
	if len(own) == 0 {
		t.Errorf("process %d has nothing open", helper)
	}
	for pid, name := range descendants(t) {
		if name != "coracle" && name != "coracle-keeper" {
			continue
		}
		for _, open := range descriptors(t, pid) {
			// Sockets and files are one's own. What it says is read by the keeper, through a pipe.
			if slices.Contains(own, open) && (strings.HasPrefix(open, "socket:") || strings.Contains(open, "/store")) {
				t.Errorf("the helper has %s of %s", open, name)
			}
		}
	}
}

// descriptors are what a process has open, as far as it can be seen.
func descriptors(t *testing.T, pid int) (open []string) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			open = append(open, target)
		}
	}
	return open
}

// pause lets a moment of a start pass, which one is chance.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
}

func waitNothing(t *testing.T, round int) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute) // for a machine that has other things to do
	for {
		left := descendants(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("round %d: left: %v", round, left)
		}
		pause(t, time.Millisecond)
	}
}
