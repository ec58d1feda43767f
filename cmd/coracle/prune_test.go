package main

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"24h":                  now.Add(-24 * time.Hour),
		"1h30m":                now.Add(-90 * time.Minute),
		"30d":                  now.AddDate(0, 0, -30),
		"0":                    time.Unix(0, 0),
		"1700000000":           time.Unix(1_700_000_000, 0),
		"1700000000.5":         time.Unix(1_700_000_000, 500_000_000),
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T13:14:15":  time.Date(2026, 1, 31, 13, 14, 15, 0, time.Local),
		"2026-01-31T13:14:15Z": time.Date(2026, 1, 31, 13, 14, 15, 0, time.UTC),
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-24h", "-1", "inf", "NaN", "1e300", "d", "-3d", "1.5d", "2026-13-01", "h24"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}
