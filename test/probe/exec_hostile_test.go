package probe_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coracle-run/coracle/runtime/container"
)

// TestExecCannotBeCaught: a job that waits for further processes gets hold of none before it runs its own program, not even one
// that may trace everything in its container.
func TestExecCannotBeCaught(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes []change
	}{
		{"root", nil},
		{"user-1000", []change{as("1000")}},
		{"subuid", []change{subordinates}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := launch(t, []string{"/probe", "hunt"}, c.changes...)
			v.out.await(t, "begins")
			for range 5 {
				manyExecs(t, v, 10)
			}
			must(t, v.in.Close())
			if said := v.out.String(); strings.Contains(said, "caught") || !strings.Contains(said, "ends") {
				t.Errorf("%s", said)
			}
		})
	}
}

func manyExecs(t *testing.T, v *vessel, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if out, exit, err := v.tryExec(t.Context(), container.Exec{Args: []string{"sh", "-c", "echo x; exit 5"}}); err != nil || exit.Code != 5 || out != "x\n" {
				t.Errorf("%q, %+v, %v", out, exit, err)
			}
		})
	}
	all.Wait()
}

// TestExecIntoTracer: one that may trace everything gets what it could have become itself, in its own root and without more
// capabilities, and a copy of Coracle's program that cannot be written to.
func TestExecIntoTracer(t *testing.T) {
	v := launch(t, []string{"/probe", "hunt"}, holding("SYS_PTRACE"))
	v.out.await(t, "begins")
	for range 5 {
		manyExecs(t, v, 10)
	}
	must(t, v.in.Close())
	for l := range strings.Lines(v.out.String()) {
		if strings.Contains(l, "caught\tanother") || strings.Contains(l, "caught\ta directory") {
			t.Errorf("%s", l)
		}
	}
}

// TestExecIntoHostileJobs: what the job does to its own corner keeps nobody from entering it, or fails with a word.
func TestExecIntoHostileJobs(t *testing.T) {
	const idle = "; echo ready; exec cat"
	for _, c := range []struct {
		name, job string
		changes   []change
		exec      container.Exec
		want      string // "" for an error
	}{
		{"has stopped itself", "(echo ready; sleep 0.1; kill -STOP $$) & exec cat", nil, container.Exec{Args: []string{"echo", "in"}}, "in\n"},
		{"covers /proc", "mount -t tmpfs none /proc && mkdir /proc/self && echo x >/proc/self/uid_map" + idle, []change{holding("SYS_ADMIN")},
			container.Exec{Args: []string{"id", "-u"}, User: "77"}, "77\n"},
		{"covers /proc, as another user", "mount -t tmpfs none /proc" + idle, []change{as("1000"), unconfined}, container.Exec{Args: []string{"id", "-u"}}, "1000\n"},
		{"removes what it has", "rm -rf /etc /home /tmp /root" + idle, nil, container.Exec{Args: []string{"echo", "in"}}, "in\n"},
		{"puts a pipe in place of terminals", "mount -t tmpfs none /dev/pts && mkfifo /dev/pts/ptmx" + idle, []change{holding("SYS_ADMIN")},
			container.Exec{Args: []string{"echo", "in"}, Terminal: &container.Size{Rows: 24, Cols: 80}}, ""},
		{"has a link as passwd", "rm /etc/passwd; ln -s /proc/kmsg /etc/passwd; mkfifo /etc/x; mv /etc/x /etc/group" + idle, nil,
			container.Exec{Args: []string{"true"}, User: "app"}, ""},
		{"has many processes", "i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done" + idle, []change{as("1000")}, container.Exec{Args: []string{"echo", "in"}}, "in\n"},
		{"has the runtime as interpreter", "printf '#!/proc/self/exe coracle-exec\\n' >/tmp/x; chmod +x /tmp/x" + idle, nil, container.Exec{Args: []string{"/tmp/x"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := launch(t, []string{"sh", "-c", c.job}, c.changes...)
			v.out.await(t, "ready")
			out, exit, err := v.tryExec(t.Context(), c.exec)
			out = strings.ReplaceAll(out, "\r", "")
			if c.want != "" && (err != nil || out != c.want) || c.want == "" && err == nil && exit.Code == 0 {
				t.Errorf("%q, %+v, %v, want %q", out, exit, err, c.want)
			}
			if err != nil && !slices.ContainsFunc([]error{container.ErrExec, container.ErrUser, container.ErrNotExecutable, container.ErrNotFound}, func(e error) bool { return errors.Is(err, e) }) {
				t.Errorf("an error of no kind: %v", err)
			}
		})
	}
}

// TestExecWhileTheJobEnds: whoever comes too late is told so.
func TestExecWhileTheJobEnds(t *testing.T) {
	v := launch(t, []string{"cat"})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, exit, err := v.tryExec(t.Context(), container.Exec{Args: []string{"true"}})
			late := errors.Is(err, container.ErrEnded) || errors.Is(err, container.ErrExec)
			if !late && (err != nil || exit.Code != 0 && exit.Code != 137) {
				t.Errorf("%d: %+v, %v", i, exit, err)
			}
		})
		if i == 10 {
			must(t, v.in.Close())
		}
	}
	all.Wait()
	if exit := v.wait(); exit.Code != 0 {
		t.Errorf("the job: %+v", exit)
	}
}
