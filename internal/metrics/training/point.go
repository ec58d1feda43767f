package training

import (
	"unicode"
	"unicode/utf8"
)

// Point is what a job says at one moment.
type Point struct {
	Step   float64 // NaN: it does not say
	Values []Value
}

// Value is one metric. It may be infinite or not a number, as losses are at times.
type Value struct {
	Name  string
	Value float64
}

// Source is one place where a job says what it has reached.
type Source interface {
	// Name says in a word which it is.
	Name() string
	// Poll hands over what has come since the last call, or some of it, and reports whether there is more. It does not wait.
	Poll(take func(Point), drop func(Dropped, int64)) (more bool, err error)
	// Close hands over nothing more, and says how many bytes were not read.
	Close() (unread int64, err error)
}

// Dropped is why something that a job said is not in its record.
type Dropped string

// The reasons. All but the last count points or lines.
const (
	BadLine    Dropped = "malformed"     // a line of the file that is no JSON object
	LongLine   Dropped = "long_lines"    // longer than any that is read
	BadName    Dropped = "bad_names"     // not UTF-8, too long, or with control characters
	BadValue   Dropped = "not_numbers"   // found by a rule, and none
	ManyNames  Dropped = "too_many"      // of more metrics than are kept, or more values than a line may have
	Full       Dropped = "series_full"   // not in metrics.jsonl, but in the summary
	BadFile    Dropped = "refused_files" // a link, a device, ... in place of the file
	UnreadSize Dropped = "unread_bytes"  // at the end
)

// Limits of what is taken.
const (
	maxLine  = 64 << 10 // bytes
	maxPoint = 256      // values in one point
	maxName  = 200      // bytes
	maxNames = 1000     // metrics of a run
	maxDepth = 4        // of objects in objects
)

// goodName tells names that can be shown.
func goodName(name string) bool {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
