package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPlanParts(t *testing.T) {
	many := func(layers int, entries int64) []int64 { return slices.Repeat([]int64{entries}, layers) }
	for _, c := range []struct {
		entries []int64
		want    string
	}{
		{many(60, 1), "0-59"},
		{many(9, 4096), "0-3 4-7 8"},
		{slices.Concat([]int64{50_000}, many(10, 2)), "0 1-10"},
		{slices.Concat(many(5, 2), []int64{5000}, many(5, 2)), "0-4 5 6-10"},
		{many(8, 5000), "0 1 2 3 4 5 6 7"},
		{[]int64{5000, 1, 1, 1, 5000, 1, 5000, 5000}, "0 1 2 3 4 5 6 7"}, // hardly fewer
		{many(24, 4000), "0-3 4-7 8-11 12-15 16 17 18 19 20 21 22 23"},   // enough of them
	} {
		parts := planParts(c.entries)
		if got := formatParts(parts); got != c.want {
			t.Errorf("%v: %q, want %q", c.entries, got, c.want)
		}
		if again, ok := parseParts(c.want, len(c.entries)); !ok || !slices.Equal(again, parts) {
			t.Errorf("%q: %v, %v", c.want, again, ok)
		}
	}
}

func TestParsePartsRefuses(t *testing.T) {
	for _, text := range []string{"", "0", "0-1", "0-2 3", "1-2", "0 0-2", "0 2", "0-2 1", "2-0", "0-02", "0--2", "../x", "0-2/../../x", "+0 1 2", strings.Repeat("0 ", 3)} {
		if parts, ok := parseParts(text, 3); ok {
			t.Errorf("%q: %v", text, parts)
		}
	}
	if fmt.Sprint(parseParts("0 1-2", 3)) != "[0 1-2] true" {
		t.Error("what formatParts writes is refused")
	}
}
