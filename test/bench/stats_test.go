package main

import "testing"

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{4}, 4},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, 1, 1, 1000}, 1},
	} {
		if got := median(tc.values); got != tc.want {
			t.Errorf("median of %v: %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	ten := []float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	for _, tc := range []struct {
		values  []float64
		p, want float64
	}{
		{nil, 0.9, 0},
		{[]float64{7}, 0, 7},
		{[]float64{7}, 1, 7},
		{ten, 0, 1},
		{ten, 0.5, 5},
		{ten, 0.9, 9},
		{ten, 0.91, 10},
		{ten, 1, 10},
	} {
		if got := percentile(tc.values, tc.p); got != tc.want {
			t.Errorf("percentile %v of %v: %v, want %v", tc.p, tc.values, got, tc.want)
		}
	}
	if ten[0] != 10 {
		t.Error("the values were sorted in place")
	}
}

func TestRatio(t *testing.T) {
	if got := ratio(3, 2); got != 1.5 {
		t.Errorf("3/2: %v", got)
	}
	if got := ratio(3, 0); got != 0 {
		t.Errorf("without a reference: %v, want 0", got)
	}
}
