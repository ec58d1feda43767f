package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// Diff is what differs between two runs, the older one first or as asked for.
type Diff struct {
	A           Side         `json:"a"`
	B           Side         `json:"b"`
	Differences []Difference `json:"differences"`
	Unknown     []string     `json:"unknown"` // fields that are in neither record: secrets
	Metrics     []Delta      `json:"metrics"` // that a job said last and that differ
	Used        []Delta      `json:"used"`    // measured, which is never the same twice
}

// Side names one of the two.
type Side struct {
	ID    string       `json:"id"`
	Name  string       `json:"name,omitempty"`
	State record.State `json:"state"`
}

// Difference is one field that differs, by its name in `runs show --json`; elements of lists go by what identifies them. A nil
// value is for what is not there.
type Difference struct {
	Field string `json:"field"`
	A     any    `json:"a"`
	B     any    `json:"b"`
}

// Delta is a number that differs. A side is nil where it is not known, and so is what follows from it.
type Delta struct {
	Name  string         `json:"name"`
	A     *record.Number `json:"a"`
	B     *record.Number `json:"b"`
	Delta *record.Number `json:"delta"` // B less A
}

// Compare finds what differs. A field that merely follows from another one that is named is not named as well: of another image
// there are other digests. configs are the configurations of the two images, where they are still to be had.
func Compare(a, b record.View, configs [2][]byte) (Diff, error) {
	left, err := flatten(a)
	if err != nil {
		return Diff{}, err
	}
	right, err := flatten(b)
	if err != nil {
		return Diff{}, err
	}
	d := Diff{A: side(a), B: side(b), Differences: []Difference{}, Unknown: []string{}, Metrics: []Delta{}, Used: []Delta{}}
	found := map[string]Difference{}
	for _, field := range union(left, right) {
		if left[field] != right[field] && !incidental(field) {
			found[field] = Difference{field, left[field], right[field]}
		}
		if left[field] == right[field] && isRedacted(left[field]) {
			d.Unknown = append(d.Unknown, field)
		}
	}
	for field, difference := range configDifferences(configs) {
		found[field] = difference
	}
	withoutConsequences(found)
	d.Differences = slices.AppendSeq(d.Differences, maps.Values(found))
	slices.SortFunc(d.Differences, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(rank(x.Field), rank(y.Field)), cmp.Compare(x.Field, y.Field))
	})
	d.Metrics = metricDeltas(a.Metrics, b.Metrics)
	d.Used = usedDeltas(left, right)
	return d, nil
}

func side(v record.View) Side { return Side{ID: v.ID, Name: v.Name, State: v.State} }

// union are the fields of both, sorted.
func union[V any](a, b map[string]V) []string {
	all := make(map[string]V, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func isRedacted(v any) bool {
	text, ok := v.(string)
	return ok && strings.Contains(text, record.Redacted)
}

// order is how differences are listed: what was run before what came of it.
var order = []string{"image", "argv", "env", "cwd", "mounts", "limits", "gpus", "gpu_driver", "devices", "git", "host", "network", "scheduler"}

func rank(field string) int {
	top, _, _ := strings.Cut(field, ".")
	if top == "cause" || top == "exit_code" || top == "signal" || top == "state" {
		return len(order) + 1
	}
	if i := slices.Index(order, top); i >= 0 {
		return i
	}
	return len(order)
}

// metricDeltas are the last values that differ.
func metricDeltas(a, b map[string]record.Metric) []Delta {
	list := []Delta{}
	for _, name := range union(a, b) {
		x, inA := a[name]
		y, inB := b[name]
		d := Delta{Name: name}
		if inA {
			d.A = &x.Last
		}
		if inB {
			d.B = &y.Last
		}
		if d.finish(); d.Delta == nil || *d.Delta != 0 {
			list = append(list, d)
		}
	}
	return list
}

// finish computes the difference. Two values that are no numbers do not differ.
func (d *Delta) finish() {
	if d.A == nil || d.B == nil {
		return
	}
	delta := *d.B - *d.A
	if same := *d.A == *d.B; same || math.IsNaN(float64(*d.A)) && math.IsNaN(float64(*d.B)) {
		delta = 0
	}
	d.Delta = &delta
}

// usedDeltas are the numbers that were measured of both runs.
func usedDeltas(a, b map[string]any) []Delta {
	list := []Delta{}
	for _, field := range union(a, b) {
		if !compared(field) {
			continue
		}
		d := Delta{Name: field, A: number(a[field]), B: number(b[field])}
		if d.finish(); d.A != nil && *d.A != 0 || d.B != nil && *d.B != 0 {
			list = append(list, d)
		}
	}
	return list
}

func number(v any) *record.Number {
	f, ok := v.(float64)
	if !ok {
		return nil
	}
	n := record.Number(f)
	return &n
}

// Percent is by how much a number has changed, "" where that cannot be said.
func (d Delta) Percent() string {
	if d.Delta == nil || *d.A == 0 || !d.Delta.Finite() || !d.A.Finite() {
		return ""
	}
	return fmt.Sprintf("%+.1f%%", float64(*d.Delta / *d.A)*100)
}
