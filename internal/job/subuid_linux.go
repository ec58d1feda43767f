package job

import (
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
)

// ids are the users that a mode gives to a container beside the caller; the zero value for none.
func (m UserNS) ids() (host.IDMap, error) {
	if m != SubUID {
		return host.IDMap{}, nil
	}
	return host.SubordinateIDs()
}

// recordIDs is the record's form of a map; nil for none.
func recordIDs(ids host.IDMap) *record.IDMap {
	if ids.IsZero() {
		return nil
	}
	convert := func(ranges []host.IDRange) (list []record.IDRange) {
		for _, r := range ranges {
			list = append(list, record.IDRange(r))
		}
		return list
	}
	return &record.IDMap{UIDs: convert(ids.UIDs), GIDs: convert(ids.GIDs)}
}
