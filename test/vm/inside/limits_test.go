package inside_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// limits is what these tests read of the limits in a run's record.
type limits struct {
	MemoryBytes       int64 `json:"memory_bytes"`
	Until             string
	Enforced, Missing []struct{ Limit, Mechanism, Why string }
}

// by says by what each limit is enforced, "memory=systemd", and which are missing, "cpus!".
func (l limits) by() (list []string) {
	for _, e := range l.Enforced {
		list = append(list, e.Limit+"="+e.Mechanism)
	}
	for _, m := range l.Missing {
		list = append(list, m.Limit+"!")
	}
	return list
}

// limited are the users who can have all limits, and by what.
func limited(t testing.TB) map[*sailor]string {
	t.Helper()
	return map[*sailor]string{
		newSailor(t, "full", session):   "systemd",
		newSailor(t, "full", delegated): "cgroup-v2",
		newSailor(t, "root", bare):      "systemd",
	}
}

// TestAllLimitsHold: with all controllers delegated each limit is there, in the kernel's words.
func TestAllLimitsHold(t *testing.T) {
	for s, mechanism := range limited(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			out := s.run("--require-limits", "--memory", "200m", "--cpus", "0.5", "--cpuset-cpus", "1", "--pids-limit", "64", busybox,
				"sh", "-c", "cd /sys/fs/cgroup; nproc; cat memory.max cpu.max cpuset.cpus.effective pids.max; echo threads $OMP_NUM_THREADS")
			lines := strings.Split(out, "\n")
			want := []string{"1", "209715200", "50000 100000", "1", "64", "threads 1"}
			if !slices.Equal(lines, want) {
				t.Errorf("inside there are %q, want %q", lines, want)
			}
			got := s.last().Limits
			for _, name := range []string{"memory", "cpus", "cpuset-cpus", "pids-limit"} {
				if !slices.Contains(got.by(), name+"="+mechanism) {
					t.Errorf("the record does not have %s enforced by %s: %q", name, mechanism, got.by())
				}
			}
			if got.MemoryBytes != 200<<20 || len(got.Missing) > 0 {
				t.Errorf("the record says %+v", got)
			}
			s.nothingLeft()
		})
	}
}

// TestMemoryLimit: a job that allocates more than its limit dies, and no one else.
func TestMemoryLimit(t *testing.T) {
	everyone := []*sailor{newSailor(t, "plain", session), newSailor(t, "full", session), newSailor(t, "full", service), newSailor(t, "full", delegated), newSailor(t, "root", bare)}
	for _, s := range everyone {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			const allocate = "dd if=/dev/zero of=/dev/null bs=%dM count=1 2>/dev/null; echo survived"
			r := s.do("run", "-q", "--require-limits", "--memory", "200m", busybox, "sh", "-c", fmt.Sprintf(allocate, 300))
			if r.code != 137 || r.stdout != "" {
				t.Errorf("300 MB below a limit of 200: status %d, %q, %s", r.code, r.stdout, r.stderr)
			}
			v := s.last()
			told := v.Cause == "oom" && v.Evidence.OOMKills > 0 && v.Evidence.MemoryLimit == 200<<20 && v.Limits.MemoryBytes == 200<<20
			if peak := v.Peaks["memory_bytes"]; !told || peak < 190<<20 || peak > 201<<20 || !strings.Contains(v.Message, "200") {
				t.Errorf("the record of a job that was killed says %+v", v)
			}
			t.Logf("%s %s", v.Message, v.Advice)
			if got := s.run("--require-limits", "--memory", "200m", busybox, "sh", "-c", fmt.Sprintf(allocate, 100)); got != "survived" {
				t.Errorf("100 MB below a limit of 200: %q", got)
			}
			s.nothingLeft()
		})
	}
}

// spin keeps two processes busy and says for how many seconds, and what the group's CPU time grew by, in microseconds.
const spin = `stat() { while read -r key value; do [ $key = $1 ] && echo $value; done </sys/fs/cgroup/cpu.stat; }
up() { read -r seconds rest </proc/uptime; echo $seconds; }
begin=$(up) used=$(stat usage_usec)
(while :; do :; done) & (while :; do :; done) &
sleep 4
echo $begin $(up) $used $(stat usage_usec)`

// TestHalfACPU: two busy processes use half a CPU between them where they may, and more than one where nothing limits them.
func TestHalfACPU(t *testing.T) {
	for s := range limited(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			share := func(args ...string) float64 {
				out := s.run(append(args, busybox, "sh", "-c", spin)...)
				var begin, end, used, usage float64
				if _, err := fmt.Sscan(out, &begin, &end, &used, &usage); err != nil {
					t.Fatalf("%v: %q", err, out)
				}
				return (usage - used) / 1e6 / (end - begin)
			}
			half, whole := share("--require-limits", "--cpus", "0.5"), share("--pids-limit", "1000")
			t.Logf("two busy processes use %.2f CPUs with --cpus 0.5, %.2f without", half, whole)
			if half < 0.3 || half > 0.6 {
				t.Errorf("two busy processes use %.2f CPUs with --cpus 0.5", half)
			}
			if whole < 0.8 {
				t.Errorf("two busy processes use %.2f CPUs where nothing limits them", whole)
			}
		})
	}
}

// TestForkBomb: the limit of processes stops what doubles without end, and the node goes on.
func TestForkBomb(t *testing.T) {
	const bomb = `bomb() { bomb | bomb & }
bomb 2>/dev/null
while read -r key value </sys/fs/cgroup/pids.events; [ $value -lt 10 ]; do :; done
read -r most </sys/fs/cgroup/pids.max; read -r now </sys/fs/cgroup/pids.current
echo $most $now; exit 9`
	for _, s := range []*sailor{newSailor(t, "plain", session), newSailor(t, "full", session), newSailor(t, "root", bare)} {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			r := s.do("run", "-q", "--require-limits", "--pids-limit", "60", busybox, "sh", "-c", bomb)
			var most, now int
			if _, err := fmt.Sscan(r.stdout, &most, &now); err != nil || r.code != 9 || most != 60 || now > most {
				t.Errorf("a fork bomb below a limit of 60: status %d, %q, %s", r.code, r.stdout, r.stderr)
			}
			s.nothingLeft()
		})
	}
}

// TestWhatIsNotDelegatedIsSaid: a job runs without the limits that cannot be had, and one line says which, why, and what to ask
// the administrator for; with --require-limits it does not run.
func TestWhatIsNotDelegatedIsSaid(t *testing.T) {
	for _, c := range []struct {
		s     *sailor
		holds string // memory's mechanism; "": nothing holds
		says  []string
	}{
		{newSailor(t, "plain", session), "systemd", []string{"not enforced: --cpus 0.5", "controller cpu is not delegated", "enforced: --memory 200m", "ask the administrator for ", "Delegate=cpu cpuset io memory pids"}},
		{newSailor(t, "alone", bare), "", []string{"not enforced: ", "--cpus 0.5", "--memory 200m", "no systemd user manager to ask", "ask the administrator for ", "Delegate=cpu cpuset io memory pids"}},
	} {
		t.Run(c.s.String(), func(t *testing.T) {
			c.s.t = t
			r := c.s.do("run", "-q", "--memory", "200m", "--cpus", "0.5", busybox, "echo", "ran")
			if r.code != 0 || r.stdout != "ran\n" || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("status %d, %q, and not one line: %s", r.code, r.stdout, r.stderr)
			}
			for _, text := range c.says {
				if !strings.Contains(r.stderr, text) {
					t.Errorf("%q is not in: %s", text, r.stderr)
				}
			}
			got := c.s.last().Limits.by()
			if !slices.Contains(got, "cpus!") || slices.Contains(got, "memory=systemd") != (c.holds != "") || slices.Contains(got, "memory!") != (c.holds == "") {
				t.Errorf("the record has the limits %q", got)
			}
			r = c.s.do("run", "-q", "--require-limits", "--memory", "200m", "--cpus", "0.5", busybox, "echo", "ran")
			if r.code != 125 || r.stdout != "" || !strings.Contains(r.stderr, "--cpus 0.5") {
				t.Errorf("with --require-limits: status %d, %q, %s", r.code, r.stdout, r.stderr)
			}
			c.s.nothingLeft()
		})
	}
}

// TestDelegatedScope: in a scope that was delegated to the user as a whole, no manager is asked, and one run leaves the scope in a
// state that the next one can use.
func TestDelegatedScope(t *testing.T) {
	s := newSailor(t, "full", session)
	const run = "coracle run -q --require-limits --memory 200m --cpus 0.5 " + busybox + " cat /sys/fs/cgroup/memory.max; "
	r := s.shell("systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes", "sh", "-c", run+run+"cat /proc/self/cgroup")
	if r.code != 0 || strings.Count(r.stdout, "209715200\n") != 2 || !strings.Contains(r.stdout, "/user@2000.service/") {
		t.Errorf("status %d, %q, %s", r.code, r.stdout, r.stderr)
	}
	if got := s.last().Limits.by(); !slices.Contains(got, "memory=cgroup-v2") || !slices.Contains(got, "cpus=cgroup-v2") {
		t.Errorf("the record has the limits %q", got)
	}
}

// TestKilledWithLimits: who kills `coracle run` leaves neither the job nor its group.
func TestKilledWithLimits(t *testing.T) {
	for s := range limited(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			j := s.start("--require-limits", "--memory", "200m", "--pids-limit", "64", busybox, "sh", "-c", "trap '' TERM HUP INT; echo here; while :; do sleep 1; done; : "+marker)
			found := groups(t)
			own := slices.DeleteFunc(slices.Clone(found), func(dir string) bool {
				name := filepath.Base(dir)
				return !strings.HasPrefix(name, "coracle-") || strings.HasSuffix(name, ".scope")
			})
			if len(own) != 1 {
				t.Errorf("a running job has the groups %q", found)
			}
			j.kill()
			s.nothingLeft()
		})
	}
}

// TestBatchJobIsNotLeft: what a batch job starts stays in the control group that the scheduler has given it, whatever it asks for.
func TestBatchJobIsNotLeft(t *testing.T) {
	const task = "/sys/fs/cgroup/system.slice/slurmstepd.scope/job_1/step_0/user/task_0"
	for _, env := range [][]string{{"SLURM_JOB_ID=1", "XDG_RUNTIME_DIR=/run/user/2000"}, {"XDG_RUNTIME_DIR=/run/user/2000"}} {
		t.Run(strings.Join(env, " "), func(t *testing.T) {
			s := newSailor(t, "full", bare)
			if err := os.MkdirAll(task, 0o755); err != nil {
				t.Fatal(err)
			}
			s.group, s.env = task, env
			j := s.start("--memory", "200m", busybox, "sh", "-c", "echo here; sleep 10001; : "+marker)
			found := s.processes()
			if len(found) < 3 { // coracle, its keeper, the job
				t.Errorf("a job's processes are %q", found)
			}
			for _, p := range found {
				number, _, _ := strings.Cut(p, " ")
				pid, err := strconv.Atoi(number)
				if err != nil {
					t.Fatal(err)
				}
				if at := groupOf(t, pid); at != task && !strings.HasPrefix(at, task+"/") {
					t.Errorf("%q has left the batch job's group: it is in %s", p, at)
				}
			}
			j.kill()
			s.nothingLeft()
			s.group = task
			r := s.do("run", "-q", "--memory", "200m", busybox, "echo", "ran")
			if r.code != 0 || r.stdout != "ran\n" || !strings.Contains(r.stderr, "Slurm") {
				t.Errorf("status %d, %q, %s", r.code, r.stdout, r.stderr)
			}
		})
	}
}
