package registry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestReadLimit(t *testing.T) {
	for _, tc := range []struct {
		most, left string
		want       limit
		ok         bool
	}{
		{"100;w=21600", "76;w=21600", limit{100, 76, 6 * time.Hour}, true},
		{"100", "0", limit{100, 0, 0}, true},
		{"100; w=60", "1", limit{100, 1, time.Minute}, true},
		{"100;w=99999999999999999999", "1", limit{100, 1, 0}, true},
		{"100;w=-5", "1", limit{100, 1, 0}, true},
		{"", "", limit{}, false}, {"100", "", limit{}, false}, {"", "5", limit{}, false}, {"0", "0", limit{}, false},
		{"5", "6", limit{}, false}, {"-1", "-2", limit{}, false}, {"many", "few", limit{}, false}, {"1e9", "1", limit{}, false},
	} {
		h := http.Header{}
		h.Set("ratelimit-limit", tc.most)
		h.Set("ratelimit-remaining", tc.left)
		if l, ok := readLimit(h); ok != tc.ok || ok && l != tc.want {
			t.Errorf("%q, %q: %+v, %v", tc.most, tc.left, l, ok)
		}
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 59 * time.Second: "59 seconds", 119 * time.Second: "119 seconds", 2 * time.Minute: "2 minutes",
		6 * time.Hour: "6 hours", 47 * time.Hour: "47 hours", 48 * time.Hour: "2 days", 365 * 24 * time.Hour: "365 days",
	} {
		if got := words(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// What is left is said once, when it is less than a quarter.
func TestLimitIsTold(t *testing.T) {
	for left, told := range map[string]int{"100": 0, "26": 0, "25": 0, "24": 1, "1": 1, "0": 1} {
		w, c, n := newWorld(t), withImage(), &notes{}
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("RateLimit-Limit", "100;w=21600")
			rw.Header().Set("RateLimit-Remaining", left+";w=21600")
			c.ServeHTTP(rw, r)
		})
		if err := pulled(t, w.client(n.option), host+"/a:1"); err != nil {
			t.Fatal(err)
		}
		if len(n.lines) != told || told > 0 && (!strings.Contains(n.lines[0], "100 pulls in 6 hours") || !strings.Contains(n.lines[0], left+" are left")) {
			t.Errorf("%s left: said %q", left, n.lines)
		}
	}
}

// Some say so under another status; the code counts.
func TestTooManyRequestsByItsCode(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusBadRequest} {
		w := newWorld(t)
		w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				return
			}
			rw.Header().Set("Retry-After", "7200")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down","detail":{"a":[1]}}]}`)
		})
		_, err := w.client().Digest(t.Context(), parse(t, host+"/a:1"))
		if !errors.Is(err, ErrRateLimited) || !strings.Contains(err.Error(), "TOOMANYREQUESTS: slow down (it asks to wait 2 hours)") {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A limit that is used up for hours is not waited for, one that passes soon is; the error says when, and what to do.
func TestTooManyRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		header   map[string]string
		requests int
		want     string
	}{
		"docker.io":     {map[string]string{"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "0;w=21600"}, 1, "100 pulls in 6 hours; it renews within 6 hours"},
		"soon":          {map[string]string{"RateLimit-Limit": "100;w=60", "RateLimit-Remaining": "0;w=60"}, 1 + maxRetries, "within 60 seconds"},
		"Retry-After":   {map[string]string{"Retry-After": "0"}, 1 + maxRetries, "rate limit"},
		"in ages":       {map[string]string{"Retry-After": "1000000000"}, 1, "asks to wait 365 days"},
		"by a date":     {map[string]string{"Retry-After": time.Now().Add(90 * time.Minute).UTC().Format(http.TimeFormat)}, 1, "asks to wait 90 minutes"},
		"in the past":   {map[string]string{"Retry-After": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}, 1 + maxRetries, "rate limit"},
		"nothing known": {nil, 1 + maxRetries, "rate limit"},
	} {
		for _, ref := range []string{host + "/a:1", "library/a:1"} {
			w, n := newWorld(t), 0
			limited := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				n++
				for k, v := range tc.header {
					rw.Header().Set(k, v)
				}
				rw.WriteHeader(http.StatusTooManyRequests)
				_, _ = io.WriteString(rw, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`)
			})
			w.hosts[host], w.hosts[dockerHubHost] = limited, limited
			_, err := w.client().Digest(t.Context(), parse(t, ref))
			if !errors.Is(err, ErrRateLimited) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(hintOf(err), "coracle login") || !strings.Contains(hintOf(err), "mirror") {
				t.Errorf("%s: %v; %s", name, err, hintOf(err))
			}
			if n != tc.requests {
				t.Errorf("%s: %d requests, want %d", name, n, tc.requests)
			}
		}
	}
}
