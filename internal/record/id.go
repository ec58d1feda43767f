package record

import (
	"time"

	"github.com/oklog/ulid/v2"
)

// shortest is the least length of a shortened id: the part of a ULID that is its time, to the millisecond.
const shortest = 10

// NewID returns a new run id: a ULID, which sorts by time to the millisecond.
func NewID(now time.Time) string { return ulid.MustNewDefault(now).String() }

// validID reports whether a directory's name is an id.
func validID(name string) bool {
	_, err := ulid.ParseStrict(name)
	return err == nil
}

// idTime is the time in an id, to the millisecond.
func idTime(id string) time.Time {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{}
	}
	return parsed.Timestamp().UTC()
}

// Shorten returns, for each of the sorted ids, the least beginning of at least ten characters that no other of them has.
func Shorten(ids []string) map[string]string {
	short := make(map[string]string, len(ids))
	for i, id := range ids {
		short[id] = id[:shortAt(ids, i)]
	}
	return short
}

// shortAt is how many letters of an id among sorted ones tell it from the others.
func shortAt(ids []string, i int) int {
	n := shortest
	if i > 0 {
		n = max(n, common(ids[i], ids[i-1])+1)
	}
	if i+1 < len(ids) {
		n = max(n, common(ids[i], ids[i+1])+1)
	}
	return min(n, len(ids[i]))
}

// common is the length of what two strings begin with alike.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
