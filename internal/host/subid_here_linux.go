package host

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/coracle-run/coracle/internal/proc"
)

// around is what lies around this process, and can keep it from ids that a file grants: the maps of its user namespace, and its status
// (proc_pid_uid_map(5), proc_pid_status(5)).
type around struct{ uids, gids, status string }

var aroundSelf = around{uids: "/proc/self/uid_map", gids: "/proc/self/gid_map", status: "/proc/self/status"}

// outside is what helps where the user namespace around this process has too few ids.
const outside = "run Coracle outside of the user namespace around it (of another container, of 'unshare'), or leave out --userns subuid"

// missing are ids of a map that the user namespace of this process does not have: nobody inside can give them on. Root is needed, too,
// since newuidmap is root's: where there is no root, no program gains privileges.
func (a around) missing(m IDMap) string {
	for _, kind := range []struct {
		path, name string
		ranges     []IDRange
	}{{a.uids, "user", m.UIDs}, {a.gids, "group", m.GIDs}} {
		for _, r := range append([]IDRange{{Size: 1}}, kind.ranges...) {
			if ids := lacking(kind.path, SubIDs{uint64(r.Host), uint64(r.Size)}); ids != "" {
				return kind.name + " ids " + ids
			}
		}
	}
	return ""
}

// lacking names ids when the map at a path does not have them all. What cannot be read is left to the attempt.
func lacking(path string, ids SubIDs) string {
	mapped, err := readIDMap(path)
	switch last := ids.Start + ids.Count - 1; {
	case err != nil || covered(mapped, ids.Start, ids.Start+ids.Count):
		return ""
	case last == ids.Start:
		return fmt.Sprint(last)
	default:
		return fmt.Sprintf("%d-%d", ids.Start, last)
	}
}

// problem is why a map cannot be made use of here, although files grant its ids; nil: nothing is known to be in the way.
func (a around) problem(m IDMap, euid int) error {
	if ids := a.missing(m); ids != "" {
		return &SubIDError{
			Reason: "subordinate ids cannot be used: the user namespace around Coracle does not have the " + ids,
			Fix:    outside,
		}
	}
	if euid != 0 && statusField(a.status, "NoNewPrivs") == "1" {
		return &SubIDError{
			Reason: "subordinate ids cannot be used: newuidmap gains no privileges here, since no_new_privs is set for this process",
			Fix:    "run Coracle outside of what sets it (a service's NoNewPrivileges=, 'setpriv --no-new-privs', another container), or leave out --userns subuid",
		}
	}
	return nil
}

// statusField is a value of proc_pid_status(5); "" when it cannot be read.
func statusField(path, name string) string {
	text, _ := os.ReadFile(path)
	return proc.Status(text).Field(name)
}

// readIDMap reads which ids a user namespace has, those inside: lines of INSIDE OUTSIDE SIZE.
func readIDMap(path string) (mapped []SubIDs, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("reading %s: %q is no line of a map", path, line)
		}
		start, err := strconv.ParseUint(fields[0], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		count, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		mapped = append(mapped, SubIDs{Start: start, Count: count})
	}
	return mapped, nil
}

// covered reports whether the ids from one up to another are all among some, whose ranges may follow one another.
func covered(ids []SubIDs, from, to uint64) bool {
	if to > math.MaxUint32 {
		return false
	}
	for from < to {
		i := slices.IndexFunc(ids, func(r SubIDs) bool { return r.Start <= from && from < r.Start+r.Count })
		if i < 0 {
			return false
		}
		from = ids[i].Start + ids[i].Count
	}
	return true
}
