package quantity

import (
	"errors"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "512": 512, "1b": 1, "1k": 1 << 10, "1KB": 1 << 10, "1KiB": 1 << 10, "512m": 512 << 20, "8g": 8 << 30, "8GiB": 8 << 30,
		"1.5g": 3 << 29, "1 g": 1 << 30, "2t": 2 << 40, "1p": 1 << 50, "8000p": 8000 << 50,
	} {
		if got, err := Size(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1g", "g", "much", "1x", "1gg", "1giga", "1 2g", "nan", "inf", "8192p", "1e30g", "99999999999999999999"} {
		if got, err := Size(text); !errors.Is(err, ErrSize) || got != 0 {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5": 5 * time.Second, "0": 0, "1m30s": 90 * time.Second, "200ms": 200 * time.Millisecond, "0s": 0, "4h": 4 * time.Hour, "2147483647": (1<<31 - 1) * time.Second,
	} {
		if got, err := Span(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-1s", "5 s", "1e3", "1.5", "99999999999", "3000000h", "1d", "0x10"} {
		if got, err := Span(text); !errors.Is(err, ErrSpan) || got != 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestMoment(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"24h":                       now.Add(-24 * time.Hour),
		"1h30m":                     now.Add(-90 * time.Minute),
		"0s":                        now,
		"30d":                       now.AddDate(0, 0, -30),
		"0":                         time.Unix(0, 0),
		"1700000000":                time.Unix(1_700_000_000, 0),
		"1700000000.5":              time.Unix(1_700_000_000, 500_000_000),
		"99999999999":               time.Unix(99_999_999_999, 0),
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T13:14":          time.Date(2026, 1, 31, 13, 14, 0, 0, time.Local),
		"2026-01-31 13:14:15":       time.Date(2026, 1, 31, 13, 14, 15, 0, time.Local),
		"2026-01-31T13:14:15":       time.Date(2026, 1, 31, 13, 14, 15, 0, time.Local),
		"2026-01-31T13:14:15.25":    time.Date(2026, 1, 31, 13, 14, 15, 250_000_000, time.Local),
		"2026-01-31T13:14:15Z":      time.Date(2026, 1, 31, 13, 14, 15, 0, time.UTC),
		"2026-01-31T13:14:15+02:00": time.Date(2026, 1, 31, 11, 14, 15, 0, time.UTC),
	} {
		if got, err := Moment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-24h", "-1", "inf", "NaN", "1e300", "1700000000000", "d", "-3d", "1.5d", "2026-13-01", "h24", "2026-01-31T25:00:00"} {
		if got, err := Moment(text, now); !errors.Is(err, ErrMoment) || !got.IsZero() {
			t.Errorf("%q is %v, %v, want an error", text, got, err)
		}
	}
}
