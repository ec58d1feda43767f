package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/runtime/cgroup"
)

// cgroups tells which limits would hold, and what would have the others hold.
func (p *patient) cgroups(ctx context.Context) []Finding {
	t, err := wait(ctx, p.plain)
	if err == nil {
		err = t.err
	}
	if err == nil {
		err = t.Namespaces
	}
	if err != nil {
		return []Finding{note("not known: no container ran", "").by(You, first("container"))}
	}
	facts, err := p.facts()
	if err != nil {
		return []Finding{note(err.Error(), "")}
	}
	version := "cgroup v1"
	if facts.CgroupV2 {
		version = "cgroup v2"
	}
	var held, missing, why []string
	for _, e := range t.Groups.Enforced {
		held = append(held, "--"+e.Limit)
	}
	for _, m := range t.Groups.Missing {
		missing = append(missing, "--"+m.Limit)
		if len(why) == 0 || why[len(why)-1] != m.Why {
			why = append(why, m.Why)
		}
	}
	if len(missing) == 0 {
		return []Finding{ok(fmt.Sprintf("%s, and limits hold (%s)", version, ways[t.Groups.Way]))}
	}
	found := fmt.Sprintf("%s: %s cannot be enforced: %s", version, strings.Join(missing, ", "), strings.Join(why, "; "))
	if len(held) > 0 {
		found += "; " + strings.Join(held, ", ") + " can"
	}
	return []Finding{note(found, "such a limit is passed over with a warning, or refused with --require-limits; what a job uses is measured all the same").
		advised(t.Advice)}
}

// ways are words for how a job gets a group of its own.
var ways = map[cgroup.Way]string{
	cgroup.Below: "in a group of the job's own", cgroup.Sibling: "in a group of the job's own", cgroup.Divide: "in a group of the job's own",
	cgroup.Scope: "in a scope of systemd's", cgroup.Each: "in a group of each controller",
}
