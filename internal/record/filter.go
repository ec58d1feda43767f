package record

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/quantity"
)

// Filter is one condition on a record.
type Filter struct {
	field, operator, value string
	number                 *float64  // of the value, where it is one
	moment                 time.Time // likewise
}

// ErrFilter is returned for what is no filter.
var ErrFilter = errors.New("this is no filter")

// operators, of which one that begins with another comes before it.
var operators = []string{"!=", "<=", ">=", "=", "<", ">"}

// ParseFilter reads FIELD=VALUE, with !=, <, >, <= or >= as well. Fields have the names of `runs show --json`, and some others, see
// shorthands; label=KEY and label=KEY=VALUE are docker's, as are since and until. A text may have * in it for any part. Sizes,
// durations and times may be written as people do: 512m, 1h30m, 2026-01-31; of a time, 24h is so long ago.
func ParseFilter(text string) (Filter, error) {
	at := strings.IndexAny(text, "!=<>")
	if at <= 0 {
		return Filter{}, fmt.Errorf("%w: %q: write FIELD=VALUE", ErrFilter, text)
	}
	f := Filter{field: text[:at]}
	for _, operator := range operators {
		if value, ok := strings.CutPrefix(text[at:], operator); ok {
			f.operator, f.value = operator, value
			break
		}
	}
	if f.operator == "" {
		return Filter{}, fmt.Errorf("%w: %q: write FIELD=VALUE", ErrFilter, text)
	}
	return f.complete(time.Now())
}

// complete reads the value, and finds the field that is meant.
func (f Filter) complete(now time.Time) (Filter, error) {
	equal := f.operator == "=" || f.operator == "!="
	switch {
	case f.field == "label" && equal:
		key, value, valued := strings.Cut(f.value, "=")
		f.field, f.value = "labels."+key, value
		if !valued {
			f.value = "*"
		}
	case (f.field == "since" || f.field == "until") && f.operator == "=":
		f.operator = map[string]string{"since": ">=", "until": "<"}[f.field]
		f.field = "created"
	}
	f.field = fieldName(f.field)
	if err := checkField(f.field); err != nil {
		return f, fmt.Errorf("%w: %w", ErrFilter, err)
	}
	if n, err := strconv.ParseFloat(f.value, 64); err == nil {
		f.number = &n
	} else if d, err := time.ParseDuration(f.value); err == nil && !strings.HasSuffix(f.field, "_bytes") {
		f.number, f.moment = new(d.Seconds()), now.Add(-d)
	} else if n, err := quantity.Size(f.value); err == nil {
		f.number = new(float64(n))
	}
	if t, ok := quantity.Date(f.value); ok {
		f.moment = t
	}
	return f, f.check()
}

// orders: less and greater are asked for.
func (f Filter) orders() bool { return f.operator != "=" && f.operator != "!=" }

// check: only what can be compared has an order, and only what there may be can be equal.
func (f Filter) check() error {
	if !f.orders() {
		if err := f.checkValue(); err != nil {
			return fmt.Errorf("%w: %w", ErrFilter, err)
		}
		return nil
	}
	if f.number != nil || !f.moment.IsZero() {
		return nil
	}
	return fmt.Errorf("%w: %q is no number, size, duration or time, and %q compares those", ErrFilter, f.value, f.operator)
}

// Fits reports whether a record is as the filter says. A value that is not there is unequal to all others, and neither less nor
// greater.
func (f Filter) Fits(v *View) bool {
	value := Field(v, f.field)
	order, ordered := f.compare(value)
	switch f.operator {
	case "=":
		return f.equal(value)
	case "!=":
		return !f.equal(value)
	case "<":
		return ordered && order < 0
	case "<=":
		return ordered && order <= 0
	case ">":
		return ordered && order > 0
	}
	return ordered && order >= 0
}

func (f Filter) equal(value any) bool {
	if order, ok := f.compare(value); ok {
		return order == 0
	}
	text := FieldText(value)
	if f.field == "image.ref" && familiarly(text, f.value) {
		return true
	}
	return value != nil && glob(f.value, text)
}

// compare orders a value and the filter's, where both are numbers or times.
func (f Filter) compare(value any) (order int, ok bool) {
	switch v := value.(type) {
	case float64:
		if f.number != nil && !math.IsNaN(v) {
			return cmp.Compare(v, *f.number), true
		}
	case string: // a label may be a number
		if n, err := strconv.ParseFloat(v, 64); err == nil && f.number != nil && f.orders() {
			return cmp.Compare(n, *f.number), true
		}
	case time.Time:
		if !f.moment.IsZero() {
			return v.Compare(f.moment), true
		}
	}
	return 0, false
}

// glob reports whether a text is as a pattern says, in which * is any part.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return len(rest) >= len(parts[last]) && strings.HasSuffix(rest, parts[last])
}

// familiarly reports whether a canonical reference ends as people write it: debian:12, or debian alone.
func familiarly(ref, asked string) bool {
	return strings.HasSuffix(ref, "/"+asked) || strings.Contains(ref, "/"+asked+":") || strings.HasPrefix(ref, asked+":")
}

func fitsAll(filters []Filter, v *View) bool {
	return !slices.ContainsFunc(filters, func(f Filter) bool { return !f.Fits(v) })
}
