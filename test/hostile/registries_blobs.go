package hostile

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Attacks by the way blobs are served. What can be mended by asking again must be.
func blobs() []Registry {
	return []Registry{
		{
			Case: Case{"blob-wrong", "other bytes of the right length", "image-spec, descriptor.md", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				send(rw, req, bytes.Repeat([]byte("x"), len(layerData(w, req))))
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"blob-one-bit", "one bit is not as it should be", "image-spec, descriptor.md", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				send(rw, req, flipped(layerData(w, req), -100))
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"blob-short", "a length that is smaller than the manifest says, and a body to match", "distribution-spec, pulling blobs", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				data := layerData(w, req)
				send(rw, req, data[:len(data)-1])
			}), Says: "layer",
		},
		{
			Case: Case{"blob-long", "a length that is larger", "distribution-spec, pulling blobs", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				send(rw, req, append(bytes.Clone(layerData(w, req)), 'x'))
			}), Says: "layer",
		},
		{
			Case: Case{"blob-endless", "the right bytes, then more without an end", "own", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				_, _ = rw.Write(layerData(w, req))
				flood(rw, req, 1<<40, 'x')
			}), Says: "layer",
		},
		{
			Case: Case{"blob-empty", "an answer without a body", "own", Reject},
			Lie:  onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) { send(rw, req, nil) }), Says: "layer",
		},
		{
			Case: Case{"blob-compressed", "Content-Encoding: gzip around what is there already: the digest is of the bytes as they are", "RFC 9110, 8.4", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				rw.Header().Set("Content-Encoding", "gzip")
				send(rw, req, gzipped(layerData(w, req)))
			}), Says: "layer",
		},
		{
			Case: Case{"blob-cut", "the connection is reset at each of several bytes, once each", "facts: reset at byte k", Accept},
			Lie: stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
				var n atomic.Int64
				return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
					if k := n.Add(1); k <= 4 && isLayer(w, req) {
						breakAfter(rw, layerData(w, req), int(k-1)*7000)
					}
					honest.ServeHTTP(rw, req)
				}
			}),
		},
		{
			Case: Case{"blob-cut-always", "every connection is reset after a thousand bytes, and ranges are ignored: no progress, so it ends", "facts: reset at byte k", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				breakAfter(rw, layerData(w, req), 1000)
			}), Says: "layer", Requests: 250,
		},
		{
			Case: Case{"blob-range-ignored", "the connection is reset, and then ranges are ignored: 200 with everything", "facts: Harbor, Artifactory", Accept},
			Lie: stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
				var n atomic.Int64
				return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
					if !isLayer(w, req) {
						honest.ServeHTTP(rw, req)
						return
					}
					if n.Add(1) == 1 {
						breakAfter(rw, layerData(w, req), 9000)
					}
					send(rw, req, layerData(w, req))
				}
			}),
		},
		{
			Case: Case{"blob-range-elsewhere", "206 with bytes from another place than was asked for, and a header that says so", "RFC 9110, 14.4", Accept},
			Lie:  cutThen(func(rw http.ResponseWriter, data []byte, from int) { partial(rw, data, from-100, len(data), len(data)) }),
		},
		{
			Case: Case{"blob-range-lies", "206 with bytes from another place, and a header that says they are right, each time", "RFC 9110, 14.4", Reject},
			Lie: cutEachThen(func(rw http.ResponseWriter, data []byte, from int) {
				rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
				rw.WriteHeader(http.StatusPartialContent)
				_, _ = rw.Write(data[from-100 : len(data)-100])
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"blob-range-size", "206 with another size of the whole", "RFC 9110, 14.4", Accept},
			Lie:  cutThen(func(rw http.ResponseWriter, data []byte, from int) { partial(rw, data, from, len(data), len(data)+1) }),
		},
		{
			Case: Case{"blob-range-garbage", "206 without or with a senseless Content-Range", "RFC 9110, 14.4", Accept},
			Lie: cutThen(func(rw http.ResponseWriter, data []byte, from int) {
				rw.Header().Set("Content-Range", "bytes -1-99999999999999999999/x")
				rw.WriteHeader(http.StatusPartialContent)
				_, _ = rw.Write(data[from:])
			}),
		},
		{
			Case: Case{"blob-range-short", "206 that brings a hundred bytes at a time", "RFC 9110, 14.4: a server may", Accept},
			Lie: cutThen(func(rw http.ResponseWriter, data []byte, from int) {
				partial(rw, data, from, min(from+50_000, len(data)), len(data))
			}),
		},
		{
			Case: Case{"blob-range-unasked", "206 to a request without a range", "RFC 9110, 15.3.7", Reject},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				data := layerData(w, req)
				partial(rw, data, len(data)/2, len(data), len(data))
			}), Says: "layer",
		},
		{
			Case: Case{"blob-range-multipart", "206 as multipart/byteranges", "RFC 9110, 14.6", Accept},
			Lie: cutThen(func(rw http.ResponseWriter, data []byte, from int) {
				rw.Header().Set("Content-Type", "multipart/byteranges; boundary=x")
				rw.WriteHeader(http.StatusPartialContent)
				_, _ = fmt.Fprintf(rw, "--x\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n--x--", from, len(data)-1, len(data), data[from:])
			}),
		},
		{
			Case: Case{"blob-range-416", "416 to every range", "facts: 416", Accept},
			Lie: cutThen(func(rw http.ResponseWriter, data []byte, _ int) {
				rw.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(data)))
				rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}),
		},
		{
			Case: Case{"blob-swapped-on-resume", "after each reset the rest of another blob follows", "own: two halves of two truths", Reject},
			Lie: cutEachThen(func(rw http.ResponseWriter, data []byte, from int) {
				partial(rw, bytes.Repeat([]byte("y"), len(data)), from, len(data), len(data))
			}), Says: "does not match its digest",
		},
		{
			Case: Case{"blob-swapped-once", "after a reset the rest of another blob follows, once: asked again all is right", "own: a confused cache", Accept},
			Lie: cutThen(func(rw http.ResponseWriter, data []byte, from int) {
				partial(rw, bytes.Repeat([]byte("y"), len(data)), from, len(data), len(data))
			}),
		},
		{
			Case: Case{"blob-slow", "a byte now and then, so that it never stalls: it takes a day, and Ctrl-C ends it at once", "facts: 1 byte/s", Contain},
			Lie: onLayer(func(w *World, _ http.Handler, rw http.ResponseWriter, req *http.Request) {
				data := layerData(w, req)
				rw.Header().Set("Content-Length", strconv.Itoa(len(data)))
				for i := range data {
					if _, err := rw.Write(data[i : i+1]); err != nil {
						return
					}
					if f, ok := rw.(http.Flusher); ok {
						f.Flush()
					}
					time.Sleep(100 * time.Millisecond)
				}
			}), Leave: true,
		},
		{
			Case: Case{"blob-missing", "404 for a layer the manifest names", "distribution-spec", Reject},
			Lie: onLayer(func(_ *World, _ http.Handler, rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusNotFound)
			}), Says: "not found",
		},
		{
			Case: Case{"blob-503-then", "503 three times, then the layer", "facts: 5xx", Accept},
			Lie:  failing(3, http.StatusServiceUnavailable, "0"),
		},
		{
			Case: Case{"blob-500-always", "500 forever: it ends", "facts: 5xx", Reject},
			Lie:  failing(1_000_000, http.StatusInternalServerError, ""), Says: "500", Budget: Budget{},
		},
		{
			Case: Case{"blob-429-zero", "429 with Retry-After: 0, twice: no busy loop", "facts: 429", Accept},
			Lie:  failing(2, http.StatusTooManyRequests, "0"),
		},
		{
			Case: Case{"blob-429-zero-always", "429 with Retry-After: 0 forever: it ends", "facts: 429", Reject},
			Lie:  failing(1_000_000, http.StatusTooManyRequests, "0"), Says: "rate limit",
		},
		{
			Case: Case{"blob-429-forever", "429 with Retry-After: 10^9 seconds: nobody waits for that", "facts: 429", Reject},
			Lie:  failing(1_000_000, http.StatusTooManyRequests, "1000000000"), Says: "rate limit",
		},
		{
			Case: Case{"blob-429-date", "429 with Retry-After in a second, as a date", "RFC 9110, 10.2.3", Accept},
			Lie:  failing(1, http.StatusTooManyRequests, "date"),
		},
		{
			Case: Case{"blob-429-garbage", "429 with Retry-After: -1, 1e400 and \"soon\"", "RFC 9110, 10.2.3", Accept},
			Lie:  failing(1, http.StatusTooManyRequests, "-1e400 soon"),
		},
	}
}

// send answers with a whole blob, whatever range was asked for.
func send(rw http.ResponseWriter, req *http.Request, data []byte) {
	serve(rw, req, "application/octet-stream", data)
}

// partial answers with data[from:to] of so many.
func partial(rw http.ResponseWriter, data []byte, from, to, of int) {
	rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, of))
	rw.Header().Set("Content-Length", strconv.Itoa(to-from))
	rw.WriteHeader(http.StatusPartialContent)
	_, _ = rw.Write(data[from:to])
}

// breakAfter sends the first n bytes of a blob and resets the connection.
func breakAfter(rw http.ResponseWriter, data []byte, n int) {
	rw.Header().Set("Content-Length", strconv.Itoa(len(data)))
	rw.WriteHeader(http.StatusOK)
	_, _ = rw.Write(data[:min(n, len(data))])
	if f, ok := rw.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}

// stateful makes a lie that remembers what it said before.
func stateful(start func() func(*World, http.Handler, http.ResponseWriter, *http.Request)) func(*World, http.Handler) http.Handler {
	return func(w *World, honest http.Handler) http.Handler {
		answer := start()
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { answer(w, honest, rw, req) })
	}
}

// cutThen resets the first connection for a large layer in its middle; then ranges are answered by the lie.
func cutThen(lie func(rw http.ResponseWriter, data []byte, from int)) func(*World, http.Handler) http.Handler {
	return cuts(1, lie)
}

// cutEachThen resets each connection that is to bring a large layer from its beginning.
func cutEachThen(lie func(rw http.ResponseWriter, data []byte, from int)) func(*World, http.Handler) http.Handler {
	return cuts(1<<30, lie)
}

func cuts(most int64, lie func(rw http.ResponseWriter, data []byte, from int)) func(*World, http.Handler) http.Handler {
	return stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
		var cut atomic.Int64
		return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
			if !isLayer(w, req) || len(layerData(w, req)) < 100_000 {
				honest.ServeHTTP(rw, req)
				return
			}
			data := layerData(w, req)
			text, _, _ := strings.Cut(strings.TrimPrefix(req.Header.Get("Range"), "bytes="), "-")
			if from, err := strconv.Atoi(text); err == nil && from > 100 {
				lie(rw, data, from)
				return
			}
			if cut.Add(1) <= most {
				breakAfter(rw, data, 70_000)
			}
			send(rw, req, data)
		}
	})
}

// failing answers the first n requests for layers with a status.
func failing(n int64, status int, after string) func(*World, http.Handler) http.Handler {
	return stateful(func() func(*World, http.Handler, http.ResponseWriter, *http.Request) {
		var asked atomic.Int64
		return func(w *World, honest http.Handler, rw http.ResponseWriter, req *http.Request) {
			if !isLayer(w, req) || asked.Add(1) > n {
				honest.ServeHTTP(rw, req)
				return
			}
			if after == "date" {
				after = time.Now().Add(time.Second).UTC().Format(http.TimeFormat)
			}
			if after != "" {
				rw.Header().Set("Retry-After", after)
			}
			rw.WriteHeader(status)
		}
	})
}
