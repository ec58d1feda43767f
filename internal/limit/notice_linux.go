package limit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/runtime/cgroup"
)

// tellMissing tells the user in one line what does not hold, and why; with Require it is an error.
func (h *Held) tellMissing(around cgroup.Host, notice func(string)) error {
	weak := slices.IndexFunc(h.enforced, func(e cgroup.Enforced) bool { return e.Mechanism == cgroup.ByAffinity })
	if len(h.missing) == 0 && weak < 0 {
		return nil
	}
	text := reasons(h.missing)
	advice := ""
	if slices.ContainsFunc(h.missing, byGroup) {
		advice = around.Advice()
	}
	if weak >= 0 {
		text = append(text, fmt.Sprintf("--%s %s by CPU affinity alone, which the job can change", h.enforced[weak].Limit, h.enforced[weak].Value))
	}
	if h.asked.Require {
		return &notEnforcedError{Text: strings.Join(text, "; "), Advice: advice}
	}
	line := "not enforced: "
	if len(h.missing) == 0 {
		line = "enforced: "
	}
	line += strings.Join(text, "; ")
	if holding := h.holding(); len(holding) > 0 {
		line += "; enforced: " + strings.Join(holding, ", ")
	}
	if advice != "" {
		line += "; " + advice
	}
	notice(line)
	return nil
}

// byGroup reports whether a limit is one of control groups, which an administrator can hand out.
func byGroup(m cgroup.Missing) bool {
	return slices.Contains([]string{cgroup.Memory, cgroup.Swap, cgroup.CPUs, cgroup.CPUSet, cgroup.Pids, cgroup.IOWeight}, m.Limit)
}

// reasons says what is missing, those of one reason together.
func reasons(missing []cgroup.Missing) (text []string) {
	var whys []string
	of := map[string][]string{}
	for _, m := range missing {
		if of[m.Why] == nil {
			whys = append(whys, m.Why)
		}
		of[m.Why] = append(of[m.Why], "--"+m.Limit+" "+readable(m.Limit, m.Value))
	}
	for _, why := range whys {
		text = append(text, strings.Join(of[why], ", ")+" ("+why+")")
	}
	return text
}

// readable writes a limit as the user may have.
func readable(limit, value string) string {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && (limit == cgroup.Memory || limit == cgroup.Swap) {
		return cgroup.FormatMemory(n)
	}
	return value
}

// holding is what holds of what was asked for, and by what. What is by affinity alone has been said.
func (h *Held) holding() (text []string) {
	asked := h.asked.requested()
	for _, list := range [][]cgroup.Enforced{h.Group.Enforced, h.enforced} {
		for _, e := range list {
			if _, ok := asked[e.Limit]; ok && e.Mechanism != cgroup.ByAffinity {
				text = append(text, "--"+e.Limit+" "+readable(e.Limit, e.Value)+" ("+e.Mechanism+")")
			}
		}
	}
	return text
}
