package inside_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// account has a load, and then says what the kernel has on the account of the job's control group. What a file system holds back is
// written first.
const account = `/load "$0" || exit 1
sync; cd /sys/fs/cgroup
while read -r key value; do [ $key = usage_usec ] && echo $key $value; done <cpu.stat
read -r value <memory.peak; echo peak $value
[ ! -e io.stat ] || while read -r _ line; do for pair in $line; do case $pair in wbytes=*) echo written ${pair#*=};; esac; done; done <io.stat`

// spawn has processes of one thread each for longer than it takes to notice them, and says how many tasks the kernel counts.
const spawn = `for i in $(seq 60); do sleep 8 & done
sleep 4; read -r now </sys/fs/cgroup/pids.current; wait
echo '{"peaks.processes": 61}'; echo tasks $now
read -r value </sys/fs/cgroup/memory.peak; echo peak $value`

// accounted is what a load says of itself, and what the kernel says of its control group.
type accounted struct {
	itself map[string]float64 // by the record's names
	group  map[string]float64 // sums
}

func readAccounts(text string) (a accounted, err error) {
	a.group = map[string]float64{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "{") {
			err = json.Unmarshal([]byte(line), &a.itself)
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			var n float64
			n, err = strconv.ParseFloat(value, 64)
			a.group[name] += n
		}
		if err != nil {
			return a, fmt.Errorf("%w in %q", err, text)
		}
	}
	return a, nil
}

// TestLoadsOfAGroup: in a control group of its own, what the record says of a job is what the kernel has on the group's account,
// within 5 %. The runtime's own processes are in the group; what the job says of itself is the least that there is.
func TestLoadsOfAGroup(t *testing.T) {
	load, err := filepath.Abs("load")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*sailor{newSailor(t, "full", session), newSailor(t, "full", delegated)} {
		t.Run(s.String(), func(t *testing.T) {
			for _, name := range []string{"memory", "cpu", "unclaimed", "write", "processes", "shared"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel() // each has a group of its own, and they sleep most of the time
					s := *s
					s.t = t
					script := account
					if name == "processes" {
						script = spawn
					}
					run := fmt.Sprintf("load-%s-%s", name, s.way)
					out := s.run("--name", run, "--require-limits", "--memory", "600m", "--pids-limit", "2000", "--io-weight", "100",
						"-v", load+":/load:ro", busybox, "sh", "-c", script, name)
					a, err := readAccounts(out)
					if err != nil || len(a.itself) == 0 || a.group["peak"] == 0 {
						t.Fatalf("%v: %q", err, out)
					}
					compare(t, s.shown(run), name, a)
				})
			}
		})
	}
}

// compare holds a record against the accounts.
func compare(t *testing.T, v voyage, load string, a accounted) {
	t.Helper()
	// The record counts on for as long as the job takes to end after it has looked, which is long on a slow node.
	const toEnd = 0.5 // seconds of CPU
	near := func(field string, got, want float64) {
		t.Logf("%s: %v (%s), the kernel: %v", field, got, v.Sources[field], want)
		after := 0.05 * want
		if field == "totals.cpu_seconds" {
			after += toEnd
		}
		if got < 0.95*want || got > want+after {
			t.Errorf("%s: the record says %v, the kernel %v", field, got, want)
		}
		if v.Sources[field] != "cgroup" {
			t.Errorf("%s is from %q", field, v.Sources[field])
		}
	}
	near("peaks.memory_bytes", v.Peaks["memory_bytes"], a.group["peak"])
	switch load {
	case "cpu", "unclaimed":
		near("totals.cpu_seconds", v.Totals["cpu_seconds"], a.group["usage_usec"]/1e6)
	case "processes":
		near("peaks.processes", v.Peaks["processes"], a.group["tasks"])
	case "write":
		near("totals.write_bytes", v.Totals["write_bytes"], a.group["written"])
	}
	for field, least := range a.itself {
		kind, name, _ := strings.Cut(field, ".")
		got := map[string]map[string]float64{"peaks": v.Peaks, "totals": v.Totals}[kind][name]
		t.Logf("%s: %v (%s), the job itself: %v", field, got, v.Sources[field], least)
		if got < 0.95*least {
			t.Errorf("%s: the record says %v, the job itself %v", field, got, least)
		}
	}
}

// shown is the record of a run.
func (s *sailor) shown(id string) (v voyage) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.ok("runs", "show", id, "--json")), &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}
