package probe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/container"
)

// vessels are the modes in which a further process is compared with the job.
var vessels = []struct {
	name    string
	changes []change
}{
	{"root", nil},
	{"user-1000", []change{as("1000")}},
	{"name", []change{as("app:app")}},
	{"read-only", []change{as("1000"), readOnly}},
	{"no-init", []change{withoutInit}},
	{"no-init-user-1000", []change{as("1000"), withoutInit}},
	{"subuid", []change{subordinates}},
	{"subuid-user-1000", []change{as("1000"), subordinates}},
	{"sys-admin", []change{holding("SYS_ADMIN")}},
	{"sys-admin-user-1000", []change{as("1000"), holding("SYS_ADMIN", "KILL")}},
	{"sys-admin-no-init", []change{holding("SYS_ADMIN"), withoutInit}},
	{"sys-admin-subuid", []change{subordinates, holding("SYS_ADMIN")}},
	{"sys-admin-among-others", []change{among, holding("SYS_ADMIN")}},
	{"sys-admin-among-others-user-1000", []change{as("1000"), among, holding("SYS_ADMIN")}},
	{"unconfined", []change{unconfined}},
	{"unconfined-user-1000", []change{as("1000"), unconfined}},
	{"new-privileges", []change{newPrivileges}},
	{"new-privileges-user-1000", []change{as("1000"), newPrivileges}},
	{"among-others", []change{among}},
	{"among-others-user-1000", []change{as("1000"), among}},
}

// ofFurther is what a further process sees otherwise than the job, and why.
var ofFurther = map[line]string{
	{"process", "session"}:           "the job's is init's; a further process leads one of its own, for it may have another terminal",
	{"neighbour", "other processes"}: "the job is one",
	{"device", "/dev/pts/N"}:         "each has a terminal",
}

// TestExecIsAsTheJob runs the probe as the job and as a further process of the same container: neither sees anything else than the
// other.
func TestExecIsAsTheJob(t *testing.T) {
	m := here(t)
	for _, c := range vessels {
		for _, tty := range []bool{false, true} {
			name := c.name
			changes := slices.Clone(c.changes)
			e := container.Exec{Args: []string{"/probe"}}
			if tty {
				name, changes, e.Terminal = name+"-tty", append(changes, onTerminal), &container.Size{Rows: 24, Cols: 80}
			}
			t.Run(name, func(t *testing.T) {
				v := launch(t, []string{"/probe", "", "stay"}, changes...)
				ofJob, err := read(v.out.await(t, "end\tcomplete\tyes"))
				must(t, err)
				said, exit := v.exec(e)
				if exit.Code != 0 {
					t.Fatalf("status %d: %s", exit.Code, said)
				}
				ofExec, err := read(said)
				must(t, err)
				want, got := m.plain(ofJob), m.plain(ofExec)
				jobIsInit := want[line{"init", "is"}] == "the job itself" // which is not reached from itself
				for l := range maps.Keys(got) {
					if _, known := ofFurther[l]; known || jobIsInit && l.group == "init" {
						delete(want, l)
						delete(got, l)
					}
				}
				if diff := m.differences(want, got); len(diff) > 0 {
					t.Errorf("a further process (+) is not as the job (-):\n%s", strings.Join(diff, "\n"))
				}
			})
		}
	}
}

// TestExecSharesNamespaces compares the very namespaces: they are not only private, they are the job's.
func TestExecSharesNamespaces(t *testing.T) {
	const list = "for n in user mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup"
	for _, c := range []struct {
		user    string
		changes []change
	}{
		{"0", nil},
		{"1000", nil},
		{"0", []change{holding("SYS_ADMIN", "SYS_PTRACE")}},
		{"1000", []change{holding("SYS_ADMIN")}},
		{"0", []change{among, holding("SYS_ADMIN", "SYS_PTRACE")}},
	} {
		user := c.user
		v := launch(t, []string{"sh", "-c", "echo $$; " + list + "; echo done; exec cat"}, append(c.changes, as(user))...)
		want, _, _ := strings.Cut(v.out.await(t, "done\n"), "done\n")
		if got, _ := v.exec(container.Exec{Args: []string{"sh", "-c", list}}); got != want[strings.Index(want, "\n")+1:] {
			t.Errorf("user %s: a further process has %s, the job %s", user, got, want)
		}
		// A debugger is the most frequent reason for a further process.
		pid := strings.Fields(want)[0]
		if got, _ := v.exec(container.Exec{Args: []string{"readlink", "/proc/" + pid + "/exe"}}); got != "/bin/busybox\n" {
			t.Errorf("user %s: the job cannot be traced by a further process: %q", user, got)
		}
	}
}

func TestExecRuns(t *testing.T) {
	v := launch(t, []string{"sh", "-c", "echo $$; exec cat"}, as("app"))
	job := strings.TrimSpace(v.out.await(t, "\n"))
	for _, c := range []struct {
		name string
		exec container.Exec
		out  string
		code int
	}{
		{"output and status", container.Exec{Args: []string{"sh", "-c", "echo out; exit 7"}}, "out\n", 7},
		{"the job's environment", container.Exec{Args: []string{"sh", "-c", "echo $OF_IMAGE $HOME"}}, "1 /home/app\n", 0},
		{"more environment", container.Exec{Args: []string{"sh", "-c", "echo $OF_IMAGE $NEW"}, Env: []string{"NEW=a\xff", "OF_IMAGE=2", "OF_IMAGE=3"}}, "3 a\xff\n", 0},
		{"a directory", container.Exec{Args: []string{"pwd"}, Dir: "/home/app"}, "/home/app\n", 0},
		{"root", container.Exec{Args: []string{"sh", "-c", "id -u; echo $HOME"}, User: "root"}, "0\n/root\n", 0},
		{"another user", container.Exec{Args: []string{"sh", "-c", "id -u; id -g"}, User: "7:8"}, "7\n8\n", 0},
		{"the same user", container.Exec{Args: []string{"sh", "-c", "id -u; readlink /proc/" + job + "/cwd"}, User: "1000:1000"}, "1000\n/\n", 0},
		{"by a signal", container.Exec{Args: []string{"sh", "-c", "kill -TERM $$"}}, "", 143},
		{"orphans", container.Exec{Args: []string{"sh", "-c", "(sleep 0 &) ; true"}}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, exit := v.exec(c.exec)
			if out != c.out || exit.Code != c.code {
				t.Errorf("%q and %d, want %q and %d", out, exit.Code, c.out, c.code)
			}
		})
	}
	must(t, v.in.Close())
	if exit := v.wait(); exit.Code != 0 {
		t.Errorf("the job ended with %d", exit.Code)
	}
}

func TestExecRefuses(t *testing.T) {
	v := launch(t, []string{"cat"})
	for _, c := range []struct {
		name string
		exec container.Exec
		want error
		says string
	}{
		{"nothing", container.Exec{}, container.ErrExec, "no command"},
		{"no such command", container.Exec{Args: []string{"nosuch"}}, container.ErrNotFound, "PATH"},
		{"no program", container.Exec{Args: []string{"/etc/group"}}, container.ErrNotExecutable, "exec format"},
		{"no such user", container.Exec{Args: []string{"true"}, User: "nobody-here"}, container.ErrUser, "nobody-here"},
		{"no such directory", container.Exec{Args: []string{"true"}, Dir: "/nosuch"}, container.ErrExec, "/nosuch"},
		{"a directory by a descriptor", container.Exec{Args: []string{"true"}, Dir: "/proc/self/fd/8"}, container.ErrExec, "/proc/self/fd/8"},
		{"NUL", container.Exec{Args: []string{"a\x00b"}}, container.ErrExec, "NUL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := v.tryExec(t.Context(), c.exec)
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v, want %v with %q", err, c.want, c.says)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := v.tryExec(ctx, container.Exec{Args: []string{"cat"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestExecStreamsAndSignals(t *testing.T) {
	v := launch(t, []string{"cat"}, as("1000"))
	p, in, out, err := v.begin(t.Context(), container.Exec{Args: []string{"sh", "-c", `trap 'echo caught; exit 3' USR1; echo ready; while read line; do echo got $line; done; sleep 100`}})
	must(t, err)
	out.await(t, "ready")
	_, err = in.WriteString("this\n")
	must(t, err)
	out.await(t, "got this")
	must(t, p.Signal(unix.SIGUSR1))
	_, _ = in.WriteString("\n") // ends the read in which a shell may wait
	if exit, err := p.Wait(); err != nil || exit.Code != 3 || !strings.Contains(out.String(), "caught") {
		t.Errorf("%+v, %v, %q", exit, err, out.String())
	}
	must(t, in.Close())
	must(t, p.Signal(unix.SIGUSR1)) // nobody is there to take it

	// What a key sends goes to the whole group.
	p, in, out, err = v.begin(t.Context(), container.Exec{Args: []string{"sh", "-c", "echo ready; sleep 100; echo not reached"}})
	must(t, err)
	out.await(t, "ready")
	must(t, p.Signal(unix.SIGINT))
	if exit, err := p.Wait(); err != nil || exit.Code != 130 || strings.Contains(out.String(), "not") {
		t.Errorf("%+v, %v, %q", exit, err, out.String())
	}
	must(t, in.Close())
}

func TestExecOnTerminal(t *testing.T) {
	for _, changes := range [][]change{nil, {as("1000")}, {as("1000"), onTerminal}} {
		v := launch(t, []string{"cat"}, changes...)
		p, _, out, err := v.begin(t.Context(), container.Exec{
			Args: []string{"sh", "-c", "stty size; tty; read line; echo got $line; sleep 100"}, Terminal: &container.Size{Rows: 31, Cols: 97},
		})
		must(t, err)
		out.await(t, "31 97")
		out.await(t, "/dev/pts/")
		_, err = p.Console().WriteString("this\n")
		must(t, err)
		out.await(t, "got this")
		_, err = p.Console().WriteString("\x03") // Ctrl-C
		must(t, err)
		if exit, err := p.Wait(); err != nil || exit.Code != 130 {
			t.Errorf("%+v, %v", exit, err)
		}
	}
}

// TestExecEndsWithTheJob: whatever is left of further processes goes with the container, and their status says so.
func TestExecEndsWithTheJob(t *testing.T) {
	v := launch(t, []string{"cat"})
	p, in, out, err := v.begin(t.Context(), container.Exec{Args: []string{"sh", "-c", "trap '' TERM INT HUP; setsid sleep 1000 & echo ready; sleep 1000"}})
	must(t, err)
	out.await(t, "ready")
	must(t, v.in.Close())
	if exit := v.wait(); exit.Code != 0 {
		t.Errorf("the job: %+v", exit)
	}
	if exit, err := p.Wait(); err != nil || exit.Signal != unix.SIGKILL {
		t.Errorf("the further process: %+v, %v", exit, err)
	}
	_ = out.String() // ends: nobody holds it open
	must(t, in.Close())
	if _, _, err := v.tryExec(t.Context(), container.Exec{Args: []string{"true"}}); !errors.Is(err, container.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// TestExecIsAccounted: what a further process and its children used counts as the container's.
func TestExecIsAccounted(t *testing.T) {
	v := launch(t, []string{"cat"})
	_, exit := v.exec(container.Exec{Args: []string{"sh", "-c", "sh -c 'for i in $(seq 200000); do :; done'"}})
	must(t, v.in.Close())
	if all, used := v.wait().Usage, exit.Usage; used.UserSeconds <= 0 || all.UserSeconds < used.UserSeconds || all.MaxRSS < used.MaxRSS {
		t.Errorf("the container used %+v, the further process %+v", all, used)
	}
}

func TestManyExecsAtOnce(t *testing.T) {
	v := launch(t, []string{"cat"}, as("1000"))
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			out, exit, err := v.tryExec(t.Context(), container.Exec{Args: []string{"sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)}})
			if err != nil || out != fmt.Sprintf("%d\n", i) || exit.Code != i {
				t.Errorf("%d: %q, %+v, %v", i, out, exit, err)
			}
		})
	}
	all.Wait()
}
