package record

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ValueError is the error of a filter whose field never has the value it asks for: a list by it would be empty, whatever there is.
type ValueError struct {
	Field, Value string
	Words        []string // that the field's values are; none: Kind says what they are
	Kind         string   // "a number", say
}

// Error names the value and what there is.
func (e *ValueError) Error() string {
	if len(e.Words) > 0 {
		return fmt.Sprintf("%s is never %q: it is one of %s", e.Field, e.Value, strings.Join(e.Words, ", "))
	}
	return fmt.Sprintf("%s is never %q: it is %s", e.Field, e.Value, e.Kind)
}

// The words that fields of these types have.
var (
	states = []string{string(Running), "paused", "restarting", string(Ended), string(Gone), string(Damaged)}
	causes = textsOf(Exited, Signalled, Stopped, Preempted, OOM, GPUOOM, ShmFull, Timeout, NotFound, NotExecutable, StartFailure, ImageFailure, Lost)
	truths = []string{"true", "false"}
)

// strange are docker's words for states in which no run of Coracle is: a script that asks docker for them gets an empty list, too.
var strange = []string{"created", "removing", "dead"}

func textsOf(list ...Cause) (texts []string) {
	for _, c := range list {
		texts = append(texts, string(c))
	}
	return texts
}

// FieldNames are the names that a filter's field may begin with, and its shorthands.
func FieldNames() []string {
	names := append(slices.Sorted(maps.Keys(shorthands)), "since", "until")
	for _, f := range reflect.VisibleFields(reflect.TypeFor[View]()) {
		if !f.Anonymous {
			names = append(names, jsonName(f))
		}
	}
	return names
}

// checkValue makes sure that some record may have the value which a filter of equality asks for. A pattern has to fit one of the words,
// where they are known; of numbers and times it may fit any.
func (f Filter) checkValue() error {
	t := leaf(reflect.TypeFor[View](), f.field)
	wrong := &ValueError{Field: f.field, Value: f.value}
	switch t {
	case reflect.TypeFor[State]():
		wrong.Words = states
		if slices.Contains(strange, f.value) {
			return nil
		}
	case reflect.TypeFor[Cause]():
		wrong.Words = causes
	case timeType:
		wrong.Kind = "a time, such as 2026-01-31 or 24h, for so long ago"
	default:
		switch t.Kind() {
		case reflect.Bool:
			wrong.Words = truths
		case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float64:
			wrong.Kind = "a number"
		default:
			return nil
		}
	}
	if len(wrong.Words) > 0 {
		if slices.ContainsFunc(wrong.Words, func(word string) bool { return glob(f.value, word) }) {
			return nil
		}
		return wrong
	}
	if strings.Contains(f.value, "*") || f.number != nil && t != timeType || !f.moment.IsZero() && t == timeType {
		return nil
	}
	return wrong
}
