// Package quantity reads what people write for sizes, spans of time and points in time: as docker has them on its command line, and as
// they stand in Coracle's configuration and filters.
package quantity

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Errors say what was expected. Whoever reports one names the option, and what was written.
var (
	ErrSize   = errors.New("no size: write 512m or 8g")
	ErrSpan   = errors.New("no time: write 30s, 5m, or a number of seconds")
	ErrMoment = errors.New("no time: write 24h, 7d, 2026-01-31 or 2026-01-31T12:00:00")
)

// Size is a number of bytes, with docker's binary units: 512m, 8g, 1.5GiB. What an int64 does not hold is none.
func Size(text string) (int64, error) {
	bytes, err := units.RAMInBytes(text)
	if err != nil || bytes < 0 || bytes == math.MaxInt64 { // what is too large is one of these, by the processor
		return 0, ErrSize
	}
	return bytes, nil
}

// Span is a duration, or a number of seconds as docker and timeout(1) have it. None is below zero.
func Span(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, ErrSpan
	}
	return d, nil
}

// Moment is a time as docker's filters have it: a date, seconds after 1970, or how long before now it was. An age may be in days, too.
func Moment(text string, now time.Time) (time.Time, error) {
	const latest = 1e11 // in the year 5138; more are milliseconds
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < latest {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*float64(time.Second))), nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 31); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	if t, ok := Date(text); ok {
		return t, nil
	}
	return time.Time{}, ErrMoment
}

// Date is a point in time as RFC 3339 has it, or the beginning of that; without a zone it is this machine's.
func Date(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
