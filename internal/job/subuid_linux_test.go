package job

import "testing"

func TestModesOfOneUserHaveNoMap(t *testing.T) {
	for _, mode := range []UserNS{"", Flat, Root, HostUID} {
		if ids, err := mode.ids(); err != nil || !ids.IsZero() || recordIDs(ids) != nil {
			t.Errorf("%s: %v, %v", mode, ids, err)
		}
	}
}
