package main

import (
	"slices"
	"testing"
)

func TestBudget(t *testing.T) {
	marks := readMarks("1000 run booted\n3000 init libcontainer: nsexec[7]: => nsexec container setup\n2000 init libcontainer: affinity: 0x3\n" +
		"4000 init libcontainer: nsexec[9]: => nsexec container setup\nnot a mark\n5000 keeper asked")
	want := map[[2]string]uint64{{"run", "booted"}: 1000, {"init", stages[0].means}: 3000, {"keeper", "asked"}: 5000}
	if len(marks) != len(want) {
		t.Fatalf("%v", marks)
	}
	for key, when := range want {
		if marks[key] != when {
			t.Errorf("%v: %d, want %d", key, marks[key], when)
		}
	}
	phases := inOrder(map[[2]string][]float64{{"run", "b"}: {5, 3, 4}, {"keeper", "a"}: {1, 1.5, 1}})
	if !slices.Equal(phases, []phase{{"keeper", "a", 1, 1}, {"run", "b", 4, 3}}) {
		t.Errorf("%v", phases)
	}
}
