package limit

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/container"
)

// Ulimit is one limit of processes, as docker names them: nofile, core. -1 is no limit.
type Ulimit struct {
	Name       string
	Soft, Hard int64
}

func (u Ulimit) value() string {
	return strconv.FormatInt(u.Soft, 10) + ":" + strconv.FormatInt(u.Hard, 10)
}

// oomScoreAdj is the name of a limit.
const oomScoreAdj = "oom-score-adj"

// holdProcesses has the job's processes begin with limits of their own. Nobody but root can have more than the caller.
func (h *Held) holdProcesses() {
	for _, u := range h.asked.Ulimits {
		h.ulimit(u)
	}
	if adj := h.asked.OOMScoreAdj; adj != nil {
		value := strconv.Itoa(*adj)
		if err := tryOOMScoreAdj(value); err != nil {
			h.missing = append(h.missing, cgroup.Missing{Limit: oomScoreAdj, Value: value, Why: "only root can have the kernel spare a job: " + err.Error()})
			return
		}
		h.OOMScoreAdj = adj
		h.enforced = append(h.enforced, cgroup.Enforced{Limit: oomScoreAdj, Value: value, Mechanism: cgroup.ByProcess})
	}
}

// ulimit adds one limit, or what of it can be had.
func (h *Held) ulimit(u Ulimit) {
	soft, hard := uint64(u.Soft), uint64(u.Hard) // -1 becomes RLIM_INFINITY, the greatest number
	kind := "RLIMIT_" + strings.ToUpper(u.Name)
	number, _ := container.Resource(kind)
	var own unix.Rlimit
	if err := unix.Getrlimit(number, &own); err == nil && hard > own.Max {
		soft, hard = min(soft, own.Max), own.Max
		h.missing = append(h.missing, cgroup.Missing{
			Limit: "ulimit " + u.Name, Value: u.value(), Why: fmt.Sprintf("your own hard limit is %d, which the job has now", own.Max),
		})
	} else {
		h.enforced = append(h.enforced, cgroup.Enforced{Limit: "ulimit " + u.Name, Value: u.value(), Mechanism: cgroup.ByRlimit})
	}
	h.Rlimits = append(h.Rlimits, specs.POSIXRlimit{Type: kind, Soft: soft, Hard: hard})
}

// tryOOMScoreAdj finds out whether a value can be set, which depends on who started us (proc_pid_oom_score_adj(5)). It is
// taken back at once: to be spared less is always allowed.
func tryOOMScoreAdj(value string) (err error) {
	const name = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteString(value); err != nil {
		return err
	}
	_, err = file.WriteAt(before, 0)
	return err
}
