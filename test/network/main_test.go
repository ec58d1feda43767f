package network_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		if err := peer(os.Getenv(peerEnv), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "peer:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(need.Unprivileged(m))
}

// box is a store with a busybox image.
type box struct {
	t            *testing.T
	coracle, ref string
	env          []string
}

func newBox(t *testing.T) *box {
	t.Helper()
	need.Overlay(t)
	img := fixture.Busybox(t)
	root := filepath.Join(t.TempDir(), "store")
	b := &box{t: t, coracle: need.Binary(t), env: append(os.Environ(), "CORACLE_ROOT="+root)}
	t.Cleanup(func() {
		if err := fsx.RemoveAll(root); err != nil { // the kernel leaves a directory without permissions in an upper
			t.Error(err)
		}
	})
	t.Cleanup(func() { recorded.Check(t, root) })
	reg := fixture.Serve(t)
	reg.Push("busybox:1", img)
	b.ref = reg.Ref("busybox:1")
	b.ok("pull", b.ref)
	return b
}

func (b *box) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.coracle, args...)
	cmd.Env = b.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// do runs a command to its end and returns its status and what it said.
func (b *box) do(args ...string) (code int, stdout, stderr string) {
	b.t.Helper()
	cmd := b.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	watch := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	err := cmd.Run()
	if !watch.Stop() {
		b.t.Fatalf("coracle %s: no end: %s%s", strings.Join(args, " "), &out, &errs)
	}
	if cmd.ProcessState == nil {
		b.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (b *box) ok(args ...string) string {
	b.t.Helper()
	code, stdout, stderr := b.do(args...)
	if code != 0 {
		b.t.Fatalf("coracle %s: status %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// peerArgs is a command line that runs this program in a container, as peer.
func (b *box) peerArgs(role string, options, args []string) []string {
	program, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	line := append([]string{"run", "-v", program + ":/peer:ro", "-e", peerEnv + "=" + role}, options...)
	return append(append(line, b.ref, "/peer"), args...)
}
