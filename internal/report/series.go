package report

import (
	"math"
)

// Series is one curve: points in the order of time, of which each stands for some of those in the record where there were many.
type Series struct {
	Name   string
	Points []Point
	Count  int64   // points in the record
	Last   float64 // of them; finite
}

// Point is a moment of a series, in seconds since the job's start.
type Point struct {
	T    float64
	Mean float64
	Min  float64
	Max  float64
	Step float64 // of training; NaN: it does not say
	n    float64
}

// fold gathers any number of points into at most so many. When there are more, neighbours in time become one, so that memory is
// bounded and one pass is enough.
type fold struct {
	most   int
	width  float64 // of a bucket, in seconds
	last   float64
	series Series
}

func newFold(name string, most int) *fold {
	return &fold{most: max(1, most), width: 1e-3, series: Series{Name: name}}
}

// add takes a point. Time does not run backwards; what is not finite leaves a gap, and counts.
func (f *fold) add(p Point) {
	f.series.Count++
	if math.IsNaN(p.T) || math.IsInf(p.T, 0) || math.IsNaN(p.Mean) || math.IsInf(p.Mean, 0) {
		return
	}
	p.T = max(p.T, f.last, 0)
	f.last, f.series.Last = p.T, p.Mean
	p.n = 1
	points := f.series.Points
	if k := len(points) - 1; k >= 0 && f.same(points[k], p) {
		points[k].join(p)
		return
	}
	f.series.Points = append(points, p)
	for len(f.series.Points) > f.most {
		f.halve()
	}
}

// same reports whether two points are of one bucket.
func (f *fold) same(a, b Point) bool { return math.Floor(a.T/f.width) == math.Floor(b.T/f.width) }

// halve doubles the width of buckets.
func (f *fold) halve() {
	f.width *= 2
	kept := f.series.Points[:0]
	for _, p := range f.series.Points {
		if k := len(kept) - 1; k >= 0 && f.same(kept[k], p) {
			kept[k].join(p)
			continue
		}
		kept = append(kept, p)
	}
	f.series.Points = kept
}

// join makes a later point part of one.
func (p *Point) join(later Point) {
	n := p.n + later.n
	p.Mean += (later.Mean - p.Mean) * later.n / n
	p.Min, p.Max = min(p.Min, later.Min), max(p.Max, later.Max)
	p.T, p.Step, p.n = later.T, later.Step, n
}
