package inside_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
)

// TestRunsAndLeavesARecord: however a user has come to the node, a job runs, is confined, and leaves a whole record.
func TestRunsAndLeavesARecord(t *testing.T) {
	for _, s := range ways(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			out := s.run(busybox, "sh", "-c", "id -u; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/cgroup; exit 0")
			want := "0\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n0::/"
			if out != want {
				t.Errorf("inside it is\n%s\nwant\n%s", out, want)
			}
			if code := s.do("run", "-q", busybox, "sh", "-c", "exit 7").code; code != 7 {
				t.Errorf("a job that ends with status 7 ends with %d", code)
			}
			v := s.last()
			whole := v.State == "exited" && v.Cause == "exited" && v.ExitCode != nil && *v.ExitCode == 7 && len(v.Argv) == 3 && v.Image.Digest != "" &&
				v.Host.Kernel == kernel(t) && v.Peaks["memory_bytes"] > 0 && v.Totals["cpu_seconds"] > 0
			if !whole {
				t.Errorf("the record is not whole: %+v", v)
			}
			s.nothingLeft()
		})
	}
}

// nothingLeft holds that none of the user's jobs is there, nor their control groups.
func (s *sailor) nothingLeft() {
	s.t.Helper()
	await(s.t, s.String(), func() error {
		if left := append(s.processes(), groups(s.t)...); len(left) > 0 {
			return fmt.Errorf("there are %q", left)
		}
		return nil
	})
}

// TestManyLayers pulls an image of sixty layers from a registry and runs it: where the kernel lacks the mount calls that take
// layers one by one (before Linux 6.5), all go in one string.
func TestManyLayers(t *testing.T) {
	s := newSailor(t, "alone", bare)
	const layers = 60
	img := fixture.Busybox(t)
	for i := range layers - 1 {
		img.Layers = append(img.Layers, fixture.NewLayer(fixture.Gzip,
			fixture.Dir("layers", 0o755), fixture.File(fmt.Sprint("layers/", i), fmt.Sprint(i, "\n"), 0o644), fixture.File("layers/top", fmt.Sprint(i, "\n"), 0o644)))
	}
	reg := fixture.Serve(t)
	reg.Push("deep:1", img)
	s.ok("pull", "-q", reg.Ref("deep:1"))
	out := s.run(reg.Ref("deep:1"), "sh", "-c", "cd /layers && cat top && ls | wc -l && echo new >0 && cat 0 1 58")
	if want := "58\n60\nnew\n1\n58"; out != want {
		t.Errorf("the layers hold %q, want %q", out, want)
	}
}

// TestSubordinateIDs: the users of an image are subordinate ids of a user who has them.
func TestSubordinateIDs(t *testing.T) {
	for _, by := range []way{session, bare} {
		s := newSailor(t, "full", by)
		out := s.run("--userns", "subuid", "-v", "/home/full:/v", busybox, "sh", "-c",
			"rm -f /v/mine /v/theirs; touch /v/mine /v/theirs && chown 1000:1000 /v/theirs && wc -l </proc/self/uid_map && stat -c %u /v/theirs")
		if out != "2\n1000" {
			t.Errorf("%v: inside there are %q", s, out)
		}
		first, err := firstSubordinate()
		if err != nil {
			t.Fatal(err)
		}
		owners := s.shell("stat", "-c", "%u", "mine", "theirs").stdout
		if want := fmt.Sprintf("2000\n%d\n", first+999); owners != want {
			t.Errorf("%v: outside they belong to %q, want %q", s, owners, want)
		}
		s.run("--userns", "subuid", "-v", "/home/full:/v", busybox, "rm", "/v/mine", "/v/theirs")
	}
}

// firstSubordinate is the first of full's subordinate user ids.
func firstSubordinate() (int, error) {
	raw, err := os.ReadFile("/etc/subuid")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Split(line, ":"); len(fields) == 3 && fields[0] == "full" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("/etc/subuid has no line of full's: %q", raw)
}

// TestKilledSupervisor: who kills `coracle run` with SIGKILL ends the job as well, and the run is known as lost.
func TestKilledSupervisor(t *testing.T) {
	for _, s := range ways(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			s.start("--name", "killed", busybox, "sh", "-c", "trap '' TERM HUP INT; echo here; setsid sleep 10001 & while :; do sleep 1; done; : "+marker).kill()
			s.nothingLeft()
			if v := s.last(); v.State != "lost" || v.Cause != "lost" {
				t.Errorf("the record of a killed run says %+v", v)
			}
			if got := s.run(busybox, "echo", "fine"); got != "fine" {
				t.Errorf("the next run says %q", got)
			}
		})
	}
}
