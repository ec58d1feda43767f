package main

import (
	"net"
	"net/http"
	"time"
)

// A link is how a registry is reached. The zero value is the loopback device as it is.
type link struct {
	rate  int64         // bytes a second on each connection; 0: no limit
	delay time.Duration // before each answer
}

// far is a registry in some cloud: one connection brings no more than 40 MB/s, and a request takes 20 ms before its first byte.
var far = link{rate: 40_000_000, delay: 20 * time.Millisecond}

// delayed is a handler that answers later.
func (l link) delayed(next http.Handler) http.Handler {
	if l.delay == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(l.delay):
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// limited is a listener whose connections send no faster than the link.
func (l link) limited(inner net.Listener) net.Listener {
	if l.rate == 0 {
		return inner
	}
	return &limitedListener{inner, l.rate}
}

type limitedListener struct {
	net.Listener
	rate int64
}

func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &limitedConn{Conn: conn, bucket: bucket{rate: l.rate}}, nil
}

// limitedConn is written to by one goroutine at a time, as package http does.
type limitedConn struct {
	net.Conn
	bucket bucket
}

// piece is what is sent at once; at 40 MB/s it takes 0.8 ms.
const piece = 32 << 10

func (c *limitedConn) Write(p []byte) (sent int, err error) {
	for sent < len(p) && err == nil {
		n := min(len(p)-sent, piece)
		time.Sleep(c.bucket.take(n, time.Now()))
		n, err = c.Conn.Write(p[sent : sent+n])
		sent += n
	}
	return sent, err
}

// burst is how far a line that was idle may get ahead of its rate.
const burst = 5 * time.Millisecond

// bucket is a token bucket, as the moment from which on the line is free again.
type bucket struct {
	rate int64 // bytes a second
	free time.Time
}

// take puts n bytes on the line and returns how long to wait before sending them.
func (b *bucket) take(n int, now time.Time) time.Duration {
	if earliest := now.Add(-burst); b.free.Before(earliest) {
		b.free = earliest
	}
	b.free = b.free.Add(time.Duration(int64(n) * int64(time.Second) / b.rate))
	return max(0, b.free.Sub(now))
}
