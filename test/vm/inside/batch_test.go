package inside_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// slurmConf is of a Slurm with this one node, which keeps its jobs in control groups (version 2, below a scope of systemd's). The address
// is none of the loopback's, or glibc finds that a machine without a network has no use for addresses.
const (
	slurmAddress = "192.0.2.1"
	slurmConf    = `ClusterName=node
SlurmctldHost=node(` + slurmAddress + `)
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=/run/slurm/state
SlurmdSpoolDir=/run/slurm/spool
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd.pid
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobAcctGatherType=jobacct_gather/cgroup
JobAcctGatherFrequency=task=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
NodeName=node NodeAddr=` + slurmAddress + ` CPUs=2 RealMemory=1500
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
`
	cgroupConf = "ConstrainRAMSpace=yes\nConstrainSwapSpace=yes\nAllowedSwapSpace=0\nConstrainCores=yes\n"
)

// startSlurm starts the daemons as services of systemd, and returns the version.
func startSlurm(t *testing.T) (version string) {
	t.Helper()
	root := newSailor(t, "root", bare)
	must := func(args ...string) string {
		t.Helper()
		r := root.shell(args...)
		if r.code != 0 {
			t.Fatalf("%q: %d: %s%s%s", args, r.code, r.stdout, r.stderr, root.shell("journalctl", "-b", "--no-pager", "-n", "30").stdout)
		}
		return strings.TrimSpace(r.stdout)
	}
	must("ip", "address", "replace", slurmAddress+"/32", "dev", "lo")
	if err := errors.Join(
		os.MkdirAll("/etc/slurm", 0o755), os.MkdirAll("/run/slurm/state", 0o755), os.MkdirAll("/run/slurm/spool", 0o755),
		os.WriteFile("/etc/slurm/slurm.conf", []byte(slurmConf), 0o644), os.WriteFile("/etc/slurm/cgroup.conf", []byte(cgroupConf), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	must("systemctl", "start", "munge")
	must("systemd-run", "--quiet", "--unit=node-slurmctld", "slurmctld", "-D")
	must("systemd-run", "--quiet", "--unit=node-slurmd", "-p", "Delegate=yes", "-p", "KillMode=process", "slurmd", "-D")
	t.Cleanup(func() {
		must("systemctl", "stop", "node-slurmd", "node-slurmctld", "munge")
		root.shell("systemctl", "stop", "node_slurmstepd.scope") // the name that it has where there are several nodes on one machine
		root.shell("systemctl", "stop", "slurmstepd.scope")
	})
	await(t, "the node", func() error {
		if r := root.shell("sinfo", "-h", "-o", "%t"); strings.TrimSpace(r.stdout) != "idle" {
			return fmt.Errorf("%+v: %s", r, root.shell("journalctl", "-b", "--no-pager", "-n", "10", "-u", "node-slurmctld", "-u", "node-slurmd").stdout)
		}
		return nil
	})
	_, version, _ = strings.Cut(must("sinfo", "--version"), " ") // "slurm 24.11.5", or Debian's "slurm-wlm 22.05.8"
	return version
}

// TestSlurm: in a step that Slurm keeps in a control group, everything of a run stays there, where Slurm counts and limits it; the limit is
// named when it ends the job; and where Slurm says when the job's time is over, a job is asked to save its work before that.
func TestSlurm(t *testing.T) {
	full := newSailor(t, "full", bare)
	version := startSlurm(t)
	full.ok("pull", "-q", busybox)
	for name, part := range map[string]func(*testing.T, *sailor, string){"stays": staysInStep, "memory": stepOutOfMemory, "time": saveInTime} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { newSailor(t, "root", bare).shell("scancel", "--full", "-u", "full") }) // what a test that fails has left
			part(t, newSailor(t, "full", bare), version)
		})
	}
}

// inStep is a command line that runs a job in a step, with the user's directory as /home.
func inStep(step []string, options ...string) []string {
	return append(append(append([]string{"srun"}, step...), "coracle", "run", "-q", "-v", "/home/full:/out"), options...)
}

func staysInStep(t *testing.T, s *sailor, _ string) {
	t.Helper()
	home := s.account().HomeDir
	// dd has it all in its memory before it writes any of it, for which it has to wait.
	const script = `dd if=/dev/zero bs=60M count=1 2>/dev/null | { : >/out/up; until test -e /out/enough; do sleep 0.2; done; cat >/dev/null; } # ` + marker
	cmd := s.command(inStep([]string{"--mem=300M", "-J", "stays"}, "--memory", "200m", busybox, "sh", "-c", script)...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the job", func() error { _, err := os.Stat(filepath.Join(home, "up")); return err })
	job := strings.TrimSpace(s.shell("squeue", "-h", "-n", "stays", "-o", "%A").stdout)
	seen := 0
	for _, line := range s.processes() {
		pid, argv, _ := strings.Cut(line, " ")
		if strings.HasPrefix(argv, "srun ") {
			continue
		}
		seen++
		group, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
		if want := "/job_" + job + "/step_0/"; err != nil || !strings.Contains(string(group), want) {
			t.Errorf("%s is in %q, %v; want %s", argv, group, err, want)
		}
	}
	if seen < 4 { // supervisor, keeper, init, job
		t.Errorf("%d processes: %q", seen, s.processes())
	}
	rss := regexp.MustCompile(`(?m)^(\d+)K$`)
	await(t, "what sstat sees", func() error {
		r := s.shell("sstat", "-n", "-P", "-j", job+".0", "-o", "MaxRSS")
		if m := rss.FindStringSubmatch(r.stdout); m != nil {
			if kib, err := strconv.Atoi(m[1]); err == nil && kib > 60<<10 {
				return nil
			}
		}
		return fmt.Errorf("%+v", r)
	})
	if err := errors.Join(os.WriteFile(filepath.Join(home, "enough"), nil, 0o644), cmd.Wait()); err != nil {
		t.Errorf("%v: %s", err, &said)
	}
	if !strings.Contains(said.String(), "not enforced: --memory 200m (in a job of Slurm its own limits hold") {
		t.Errorf("of its own limit it says %q", &said)
	}
}

func stepOutOfMemory(t *testing.T, s *sailor, _ string) {
	t.Helper()
	// In one piece, which it fills. Where the kernel takes more than a second to get that back, as it may where a processor is emulated, it
	// ends the next one, too: there is one that has more than the supervisor.
	const ballast = `dd if=/dev/zero bs=30M count=1 2>/dev/null | { head -c 1 >/out/ballast; sleep 1000; } & until test -s /out/ballast; do sleep 0.1; done; rm /out/ballast; `
	const take = ballast + "dd if=/dev/zero of=/dev/null bs=150M count=1"
	for _, c := range []struct {
		name, script string
		code         int
		begins, ends string
	}{
		{"the job", strings.Replace(take, "dd if=/dev/zero of", "exec dd if=/dev/zero of", 1), 137, "Probably killed for want of memory: ", "100MiB, was met, and the kernel ended a process in it. The job's peak was "},
		{"a child", take + "; exit 3", 3, "Probably for want of memory: ", "100MiB, was met, and the kernel ended a process in it; the job then ended with status 3. The job's peak was "},
	} {
		t.Run(c.name, func(t *testing.T) {
			said := s.shell(inStep([]string{"--mem=100M"}, busybox, "sh", "-c", c.script)...)
			v := s.last()
			id := v.Scheduler["SLURM_JOB_ID"]
			step := "Slurm step " + id + ".0"
			if v.Evidence.EnclosingGroup != step { // both have the same limit, and of the job there is what begins the step besides
				step = "Slurm job " + id
			}
			if v.Cause != "oom" || v.ExitCode == nil || *v.ExitCode != c.code || !strings.HasPrefix(v.Message, c.begins+"the limit of the enclosing "+step+", "+c.ends) ||
				v.Evidence.EnclosingGroup != step || v.Evidence.EnclosingLimit != 100<<20 || !strings.HasPrefix(v.Advice, "Ask Slurm for more memory (--mem") {
				t.Errorf("%+v; %+v", v, said)
			}
		})
	}
}

// saveInTime: Slurm 24.11 tells its jobs when they end, 22.05 does not. On a slow node the time may be too short when the job begins at last,
// which is said: then it gets more.
func saveInTime(t *testing.T, s *sailor, version string) {
	t.Helper()
	const script = `trap 'exit 0' USR1; while :; do sleep 0.1; done`
	options := []string{"--checkpoint-signal", "USR1", "--checkpoint-before", "50s", "--stop-timeout", "20s", "--exit-code", "preempted=75", busybox, "sh", "-c", script}
	if strings.HasPrefix(version, "22.") {
		options[3], options[len(options)-1] = "30m", "true"
	}
	r := s.shell(inStep([]string{"--time=1"}, options...)...)
	if strings.Contains(r.stderr, "less than --checkpoint-before is left of the job's time") {
		options[3] = "100s"
		r = s.shell(inStep([]string{"--time=3"}, options...)...)
	}
	v := s.last()
	if strings.HasPrefix(version, "22.") {
		if v.Limits.Until != "" || !strings.Contains(r.stderr, "nobody says when the job's time is over") {
			t.Errorf("%+v; %+v", v, r)
		}
		t.Logf("Slurm %s tells its jobs nothing of their end", version)
		return
	}
	if v.Limits.Until == "" || v.Cause != "preempted" || r.code != 75 || v.Checkpoint.Why != "time-left" || v.Checkpoint.Forced != "" {
		t.Errorf("%+v; %+v", v, r)
	}
	if page := s.ok("report", "last"); !strings.Contains(page, "% of its limit, ") {
		t.Errorf("the report says nothing of the time:\n%s", page)
	}
}
