package unpack

import (
	"fmt"
	"testing"
)

func TestFilter(t *testing.T) {
	f := newFilter()
	const n = 200_000
	mistaken := 0
	for i := range n {
		if !f.add(fmt.Sprintf("usr/lib/%d", i/40), fmt.Sprint(i)) {
			mistaken++
		}
	}
	for i := range n {
		if !f.has(fmt.Sprintf("usr/lib/%d", i/40), fmt.Sprint(i)) {
			t.Fatalf("%d was forgotten", i)
		}
	}
	if mistaken > n/1000 {
		t.Errorf("%d of %d new names were taken for known", mistaken, n)
	}
	if newFilter().has("", "") {
		t.Error("an empty filter knows a name")
	}
}
