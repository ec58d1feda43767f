package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// hardJob is a job that does not want to end, or that does harm until it does.
type hardJob struct {
	name    string
	options []string
	script  string
	stop    bool // it is asked to end once it says "up"; else it ends by itself
	code    int
	says    string // is in its output
	stops   bool   // its shell stops itself after "up"
	pid1    int    // with --init=false it ends by itself with this status: process 1 takes no signal from inside that it does not handle
}

const killed = 128 + int(unix.SIGKILL)

// hardJobs end on time, and leave nothing: no process, no mount, no directory.
var hardJobs = []hardJob{
	{name: "ignores SIGTERM", stop: true, code: killed,
		script: "trap '' TERM INT HUP; echo up; while :; do sleep 1000; done"},
	{name: "ends, its daemons do not", code: 3,
		script: "(trap '' TERM HUP; setsid sh -c 'sleep 1000 & exec setsid sleep 1000' &); exit 3"},
	{name: "is stopped, its daemons ignore that", stop: true, code: 143,
		script: "(trap '' TERM HUP; setsid sh -c 'sleep 1000 & exec setsid sleep 1000' &); trap 'exit 143' TERM; echo up; while :; do sleep 0.02; done"},
	{name: "stops itself", stop: true, stops: true, code: killed, pid1: 10,
		script: "echo up; kill -STOP $$; exit 10"},
	{name: "stops all that it can", stop: true, stops: true, code: killed, pid1: 11,
		script: "setsid sleep 1000 & sleep 1000 & echo up; kill -STOP -1; kill -STOP $$; exit 11"},
	{name: "kills all that it can", code: 4,
		script: "setsid sleep 1000 & sleep 1000 & kill -9 -1; exit 4"},
	{name: "fills /dev/shm", options: []string{"--shm-size", "8m"}, code: 5, says: "8388608",
		script: "cat /dev/zero >/dev/shm/file; stat -c %s /dev/shm/file; exit 5"},
	{name: "unmounts its own mounts", code: 6, says: "all there",
		script: `for m in $(awk '{print $5}' /proc/self/mountinfo); do umount $m && echo "unmounted $m"; umount -l $m && echo "unmounted $m"; done
			test -c /dev/null -a -d /proc/1 -a -d /out && echo all there; exit 6`},
	{name: "unmounts with every capability", options: []string{"--cap-add", "ALL"}, code: 7,
		script: "umount -l /out; umount -l /dev/shm; umount -l /proc; umount -l /; exit 7"},
	{name: "deletes all", code: 8, options: []string{"-v", "./keep:/keep:ro"},
		script: "rm -rf /* 2>/dev/null; exit 8"},
	{name: "has ten thousand zombies", stop: true, code: killed,
		script: "trap '' TERM; exec /hard/hard zombies sh -c 'echo up; exec sleep 1000'"},
	{name: "ends with ten thousand zombies", code: 9,
		script: "exec /hard/hard zombies sh -c 'exit 9'"},
}

// TestHardJobs: jobs of all bad kinds end on time, and nothing of them is left.
func TestHardJobs(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.compile("hard")
	for _, tc := range append(hardJobs, asPID1(hardJobs)...) {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			b.file("keep/me", "kept\n")
			b.file("out/gone", "")
			r := b.hard(ref, tc)
			if r.code != tc.code || !strings.Contains(r.stdout, tc.says) {
				t.Errorf("status %d, want %d; %q: %s", r.code, tc.code, r.stdout, r.stderr)
			}
			nothingLeft(t, b)
			if raw, err := os.ReadFile(filepath.Join(b.wd, "keep", "me")); err != nil || string(raw) != "kept\n" {
				t.Errorf("the read-only volume has %q, %v", raw, err)
			}
		})
	}
	b.t = t
	if got := b.ok("run", ref, "echo", "fine"); got != "fine" {
		t.Errorf("the next run says %q", got)
	}
}

// asPID1 are the same jobs as process 1 of their containers.
func asPID1(jobs []hardJob) (list []hardJob) {
	for _, tc := range jobs {
		tc.name += ", as PID 1"
		tc.options = append([]string{"--init=false"}, tc.options...)
		if tc.pid1 != 0 {
			tc.code, tc.stop = tc.pid1, false
		}
		list = append(list, tc)
	}
	return list
}

// hard runs one such job to its end.
func (b *box) hard(ref string, tc hardJob) result {
	options := append([]string{"--stop-timeout", "1s", "-v", "./hard:/hard:ro"}, tc.options...)
	if !tc.stop {
		b.dir("out")
		args := append([]string{"run", "-v", b.wd + "/out:/out"}, options...)
		return b.do(append(args, ref, "sh", "-c", tc.script)...)
	}
	j := b.startJob(ref, tc.script, options...)
	for tc.stops && !stoppedBelow(j.Process.Pid) {
		time.Sleep(time.Millisecond)
	}
	j.signal(b.t, unix.SIGTERM)
	return b.wait(j)
}

// stoppedBelow reports whether a shell below a process is stopped, or the process has ended.
func stoppedBelow(pid int) bool {
	all := processes()
	for p, is := range all {
		if is.state == "T" && is.name == "sh" && below(p, pid, all) {
			return true
		}
	}
	return all[pid].state == "" || all[pid].state == "Z"
}

// compile makes the program hard/NAME from testdata/NAME.c, for any image.
func (b *box) compile(name string) {
	b.t.Helper()
	b.dir("hard")
	out, err := exec.Command(need.Tool(b.t, "gcc"), "-static", "-O", "-o", filepath.Join(b.wd, "hard", name), "testdata/"+name+".c").CombinedOutput()
	if err != nil {
		b.t.Fatalf("compiling %s.c: %v: %s", name, err, out)
	}
}

// TestDeletedVolumes: a job that deletes everything deletes what it was given to write, and nothing else.
func TestDeletedVolumes(t *testing.T) {
	b, ref := busybox(t)
	b.file("rw/file", "x")
	b.file("ro/file", "x")
	b.do("run", "-v", "./rw:/rw", "-v", "./ro:/ro:ro", ref, "rm", "-rf", "/rw", "/ro", "/bin", "/etc", "/dev", "/proc", "/sys")
	if left, err := os.ReadDir(filepath.Join(b.wd, "rw")); err != nil || len(left) != 0 {
		t.Errorf("the writable volume holds %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(b.wd, "ro", "file")); err != nil {
		t.Error(err)
	}
	if got := b.ok("run", ref, "cat", "/etc/group"); !strings.Contains(got, "staff") {
		t.Errorf("the image has lost its files: %q", got)
	}
}

// TestForksWithoutEnd: a job that forks as fast as it can has as many processes as its user may have, and is ended when that is
// asked for.
func TestForksWithoutEnd(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	b.compile("hard")
	const room = 1000 // for coracle and for the bomb
	limit := strconv.Itoa(tasksOfUser(t) + room)
	j := &job{Cmd: b.command("run", "--stop-timeout", "1s", "-v", "./hard:/hard:ro", ref, "sh", "-c", "trap '' TERM; exec /hard/hard forks")}
	// In a user namespace of their own, what others of this user do beside does not count (since Linux 5.14).
	asMyself := []string{"unshare", "--user", fmt.Sprint("--map-user=", os.Getuid()), fmt.Sprint("--map-group=", os.Getgid())}
	j.Args = slices.Concat(asMyself, []string{"bash", "-c", "ulimit -u " + limit + `; exec "$@"`, "bash"}, j.Args)
	j.Path = need.Tool(t, "unshare")
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	if err := j.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the bomb has gone off", patience, func() error {
		if processes()[j.Process.Pid].state == "Z" {
			t.Fatalf("it has ended: %+v", b.wait(j))
		}
		if n := len(descendants()); n < room/2 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	j.signal(t, unix.SIGTERM)
	if r := b.wait(j); r.code != killed {
		t.Errorf("status %d: %s", r.code, r.stderr)
	}
	nothingLeft(t, b)
	if r := b.record("last"); r.Cause != "stopped" {
		t.Errorf("the record says %q", r.Cause)
	}
}

// tasksOfUser counts the processes and threads of the user who runs the tests; others of this user run beside.
func tasksOfUser(t *testing.T) (n int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat(task, &st) == nil && int(st.Uid) == os.Getuid() {
			n++
		}
	}
	return n
}
