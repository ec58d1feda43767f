package main

import (
	"testing"
	"time"
)

func TestStopTimeout(t *testing.T) {
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "0": 0, "1m30s": 90 * time.Second, "200ms": 200 * time.Millisecond} {
		if got, err := stopTimeout(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-1s", "5 s", "1e3", "99999999999"} {
		if got, err := stopTimeout(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
