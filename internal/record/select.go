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
	Brief   bool     // what lists show is enough: of each record briefFields
}

// brief reports whether a selection, and what is done with it, asks for no more of a record than thousands can be listed by at once.
func (s Selection) brief() bool {
	sort := fieldName(strings.TrimPrefix(s.Sort, "-"))
	return s.Brief && (sort == "" || isBrief(sort)) && !slices.ContainsFunc(s.Filters, func(f Filter) bool { return !isBrief(f.field) })
}

// Select reads the records that a selection asks for.
func (r *Runs) Select(s Selection) ([]View, error) {
	sorter, err := newSorter(s.Sort)
	if err != nil {
		return nil, err
	}
	views, err := r.fitting(s)
	if err != nil {
		return nil, err
	}
	if s.Sort != "" {
		slices.SortStableFunc(views, sorter)
	}
	if s.Limit > 0 {
		views = views[:min(s.Limit, len(views))]
	}
	return views, nil
}

// fitting are the records that fit, the newest first.
func (r *Runs) fitting(s Selection) (views []View, err error) {
	few := s.Limit > 0 && s.Limit <= greatest && s.Sort == "" && len(s.Filters) == 0 // which are read as fast
	if s.brief() && !few {
		views, err = r.brief("")
		return slices.DeleteFunc(views, func(v View) bool { return v.ID == "" || !fitsAll(s.Filters, v) }), err
	}
	for v, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if !fitsAll(s.Filters, v) {
			continue
		}
		if views = append(views, v); s.Sort == "" && len(views) == s.Limit {
			break
		}
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

// newSorter compares two records by a field. Those that have none come last, in the order in which they were.
func newSorter(field string) (func(a, b View) int, error) {
	if field == "" {
		return func(View, View) int { return 0 }, nil
	}
	name, downwards := strings.CutPrefix(field, "-")
	name = fieldName(name)
	if err := checkField(name); err != nil {
		return nil, fmt.Errorf("sorting: %w", err)
	}
	return func(a, b View) int {
		x, y := sortable(a, name), sortable(b, name)
		switch {
		case x == nil && y == nil:
			return 0
		case x == nil:
			return 1
		case y == nil:
			return -1
		case downwards:
			x, y = y, x
		}
		return compare(x, y)
	}, nil
}

// sortable is a field's value, as a number where it is one.
func sortable(v View, name string) any {
	value := Field(v, name)
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
