package host

import (
	"fmt"
	"slices"
	"strings"
)

// IDRange maps Size ids of a user namespace, from Inside on, to as many of the host, from Host on.
type IDRange struct {
	Inside uint32 `json:"inside"`
	Host   uint32 `json:"host"`
	Size   uint32 `json:"size"`
}

// IDMap says which of the host's users and groups those of a user namespace are. The zero value is no map.
type IDMap struct {
	UIDs []IDRange `json:"uids"`
	GIDs []IDRange `json:"gids"`
}

// IsZero reports whether there is no map.
func (m IDMap) IsZero() bool { return len(m.UIDs) == 0 && len(m.GIDs) == 0 }

// Span is how many ids there are inside, from 0 on: the first one that is missing.
func Span(ranges []IDRange) uint32 {
	var next uint32
	for _, r := range ranges {
		if r.Inside != next {
			break
		}
		next += r.Size
	}
	return next
}

// String is the map in one line, the same for the same map.
func (m IDMap) String() string {
	text := func(ranges []IDRange) string {
		var parts []string
		for _, r := range ranges {
			parts = append(parts, fmt.Sprintf("%d:%d:%d", r.Inside, r.Host, r.Size))
		}
		return strings.Join(parts, ",")
	}
	return "uids " + text(m.UIDs) + " gids " + text(m.GIDs)
}

// maxRanges is how many lines newuidmap and the kernel take at least (340 since Linux 4.15); the caller's own id is one.
const maxRanges = 340

// idRanges maps id 0 to the caller and the ids from 1 on to subordinate ones, in the order of their file: a range that is
// added later changes nothing for files that are there. What overlaps, or holds the caller, is used once.
func idRanges(own uint32, subordinate []SubIDs) []IDRange {
	ranges := []IDRange{{Inside: 0, Host: own, Size: 1}}
	next := uint64(1)
	for _, s := range subordinate {
		overlaps := slices.ContainsFunc(ranges, func(r IDRange) bool {
			return s.Start < uint64(r.Host)+uint64(r.Size) && uint64(r.Host) < s.Start+s.Count
		})
		if overlaps || len(ranges) == maxRanges || next+s.Count > noID {
			continue
		}
		ranges = append(ranges, IDRange{Inside: uint32(next), Host: uint32(s.Start), Size: uint32(s.Count)})
		next += s.Count
	}
	return ranges
}
