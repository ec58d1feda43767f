package registry

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// limit is how much a registry still lets pass, as Docker Hub says it: "RateLimit-Limit: 100;w=21600" and
// "RateLimit-Remaining: 76;w=21600".
type limit struct {
	most, left int
	window     time.Duration // 0 if not said
}

// readLimit reads the headers; ok is false when they are not there, or make no sense.
func readLimit(h http.Header) (l limit, ok bool) {
	most, window, okMost := readQuota(h.Get("RateLimit-Limit"))
	left, second, okLeft := readQuota(h.Get("RateLimit-Remaining"))
	return limit{most, left, max(window, second)}, okMost && okLeft && most > 0 && left <= most
}

// readQuota reads "76;w=21600".
func readQuota(text string) (n int, window time.Duration, ok bool) {
	number, rest, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	if w, found := strings.CutPrefix(strings.TrimSpace(rest), "w="); found {
		const year = 365 * 24 * 3600
		if seconds, err := strconv.Atoi(w); err == nil && seconds > 0 && seconds < year {
			window = time.Duration(seconds) * time.Second
		}
	}
	return n, window, true
}

// String is the limit in words.
func (l limit) String() string {
	text := fmt.Sprintf("%d pulls", l.most)
	if l.window > 0 {
		text += " in " + words(l.window)
	}
	return text
}

// words is a duration as people say it, in its largest fitting unit.
func words(d time.Duration) string {
	unit, name := time.Second, "second"
	switch {
	case d >= 48*time.Hour:
		unit, name = 24*time.Hour, "day"
	case d >= 2*time.Hour:
		unit, name = time.Hour, "hour"
	case d >= 2*time.Minute:
		unit, name = time.Minute, "minute"
	}
	n := int((d + unit/2) / unit)
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// watchLimit says, once for each registry, when less than a quarter is left.
func (c *Client) watchLimit(e endpoint, resp *http.Response) {
	l, ok := readLimit(resp.Header)
	if !ok || l.left >= (l.most+3)/4 || resp.StatusCode == http.StatusTooManyRequests || !c.once("limit of "+e.host) {
		return
	}
	c.opts.Note(fmt.Sprintf("%s allows %s, and %d are left; stored images, and those by digest, need none", e.host, l, l.left))
}

// maxPatience is the longest that a host may ask to wait before that is no longer tried.
const maxPatience = 10 * time.Minute

// limited makes an error of an answer that says there were too many requests.
func (e *HostError) limited(h http.Header, asked time.Duration) {
	l, known := readLimit(h)
	renews := ""
	switch {
	case asked > 0:
		renews = "it asks to wait " + words(asked)
	case known && l.left == 0 && l.window > 0:
		renews = "it renews within " + words(l.window)
	}
	if known {
		renews = strings.TrimSuffix(l.String()+"; "+renews, "; ")
	}
	if renews != "" {
		e.detail = renews
	}
	e.final = asked > maxPatience || asked == 0 && known && l.left == 0 && l.window > maxPatience
	e.advice = "wait, or log in with 'coracle login " + e.Host + "': registries allow more to those they know; or name a mirror in registries.conf"
	if e.Host == dockerHubHost || strings.HasSuffix(e.Host, ".docker.io") {
		e.advice = "wait, or log in with 'coracle login': Docker Hub allows more to those it knows; or name a mirror of docker.io in registries.conf"
	}
}
