package main

import (
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := bucket{rate: 1_000_000} // a byte a microsecond
	for _, step := range []struct {
		after time.Duration // since the step before
		bytes int
		wait  time.Duration
	}{
		{0, 5000, 0},                                        // a burst, from idle
		{0, 1000, time.Millisecond},                         // then at the line's rate
		{0, 1000, 2 * time.Millisecond},                     // for everything that is put on it at once
		{2 * time.Millisecond, 1000, time.Millisecond},      // who waited as told is on time
		{time.Millisecond, 500, 500 * time.Microsecond},     //
		{time.Hour, 6000, time.Millisecond},                 // idle for long is one burst, and not more
		{500 * time.Microsecond, 0, 500 * time.Microsecond}, // nothing takes no time of its own
	} {
		now = now.Add(step.after)
		if got := b.take(step.bytes, now); got != step.wait {
			t.Errorf("%+v: waits %v", step, got)
		}
	}
}

// TestLinkIsShaped fetches over a slow line: it cannot be faster than the rate and the delay let it. How much slower it is
// is the machine's affair.
func TestLinkIsShaped(t *testing.T) {
	image := small(t)
	r := serve(image, link{rate: 20_000_000, delay: 30 * time.Millisecond})
	defer r.stop()
	d := image.Manifest.Layers[0]
	start := time.Now()
	if _, body := get(t, r, "/v2/bench/image/blobs/"+d.Digest.String(), ""); int64(len(body)) != d.Size {
		t.Fatalf("%d bytes of %d", len(body), d.Size)
	}
	least := 30*time.Millisecond - burst + time.Duration(d.Size*int64(time.Second)/20_000_000)
	if took := time.Since(start); took < least {
		t.Errorf("took %v, less than %v", took, least)
	}
}

// TestEachConnectionHasItsRate fetches from two connections at once: together they may be twice as fast as one.
func TestEachConnectionHasItsRate(t *testing.T) {
	first, second := bucket{rate: 1000}, bucket{rate: 1000}
	now := time.Unix(1000, 0)
	first.take(1000, now)
	if wait := second.take(5, now); wait != 0 {
		t.Errorf("one line waits %v for another", wait)
	}
}
