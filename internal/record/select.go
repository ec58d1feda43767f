package record

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Selection says which records are wanted, and in which order.
type Selection struct {
	Filters []Filter // all of which must fit
	Sort    string   // a field, with a minus before it the greatest first; "": the newest first
	Limit   int      // so many of what is left, in that order; 0: all
}

// brief reports whether a selection asks for no more of a record than thousands can be listed by at once.
func (s Selection) brief() bool {
	sort := fieldName(strings.TrimPrefix(s.Sort, "-"))
	return (sort == "" || isBrief(sort)) && !slices.ContainsFunc(s.Filters, func(f Filter) bool { return !isBrief(f.field) })
}

// Select reads the records that a selection asks for, in full. For what lists show, Brief is faster.
func (r *Runs) Select(s Selection) ([]View, error) {
	order, err := newOrder(s.Sort)
	if err != nil {
		return nil, err
	}
	ids, err := r.IDs()
	if err != nil {
		return nil, err
	}
	return r.selected(ids, s, order)
}

// selected is Select of all ids.
func (r *Runs) selected(ids []string, s Selection, order order) (views []View, err error) {
	var keys []any
	for v := range r.each(ids) {
		if !fitsAll(s.Filters, &v) {
			continue
		}
		views = append(views, v)
		if order.field != "" {
			keys = append(keys, order.key(&v))
		} else if len(views) == s.Limit {
			break
		}
	}
	views = sorted(views, keys, order)
	if s.Limit > 0 {
		views = views[:min(s.Limit, len(views))]
	}
	return views, nil
}

// shorthands are other names of fields, docker's among them.
var shorthands = map[string]string{
	"status": "state", "ancestor": "image.ref", "exited": "exit_code", "image": "image.ref", "digest": "image.digest", "host": "host.hostname", "started": "started",
	"label": "labels", "memory": "peaks.memory_bytes", "cpu": "totals.cpu_seconds", "duration": "wall_seconds",
}

// fieldName is a field's full name.
func fieldName(name string) string {
	if full, ok := shorthands[name]; ok {
		return full
	}
	if rest, ok := strings.CutPrefix(name, "label."); ok {
		return "labels." + rest
	}
	return name
}

// order compares records by a field; the zero one leaves them as they are.
type order struct {
	field     string
	downwards bool
}

// newOrder reads a field, with a minus before it for the greatest first.
func newOrder(text string) (order, error) {
	if text == "" {
		return order{}, nil
	}
	name, downwards := strings.CutPrefix(text, "-")
	o := order{field: fieldName(name), downwards: downwards}
	if err := checkField(o.field); err != nil {
		return order{}, fmt.Errorf("sorting: %w", err)
	}
	return o, nil
}

// key is what a record is compared by: its field's value, as a number where it is one; nil: it has none.
func (o order) key(v *View) any {
	value := Field(v, o.field)
	if text, ok := value.(string); ok {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			value = n
		}
	}
	if n, ok := value.(float64); ok && math.IsNaN(n) {
		return nil
	}
	return value
}

// compare orders two keys. Those that are none come last.
func (o order) compare(x, y any) int {
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return 1
	case y == nil:
		return -1
	case o.downwards:
		x, y = y, x
	}
	return compare(x, y)
}

// sorted brings what has keys into their order; what is equal stays as it was.
func sorted[T any](list []T, keys []any, o order) []T {
	if o.field == "" {
		return list
	}
	places := make([]int, len(list))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return o.compare(keys[a], keys[b]) })
	ordered := make([]T, len(list))
	for i, place := range places {
		ordered[i] = list[place]
	}
	return ordered
}

// compare orders two values of one field.
func compare(x, y any) int {
	switch a := x.(type) {
	case float64:
		if b, ok := y.(float64); ok {
			return cmp.Compare(a, b)
		}
	case time.Time:
		if b, ok := y.(time.Time); ok {
			return a.Compare(b)
		}
	}
	return strings.Compare(FieldText(x), FieldText(y))
}
