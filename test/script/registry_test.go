package script

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// modes are the ways in which the registry can misbehave.
var modes = map[string]func(next http.Handler) http.Handler{
	"ok": nil,
	"deny": func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"go away\u001b[31m"}]}`, http.StatusUnauthorized)
		})
	},
	"limit": func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`, http.StatusTooManyRequests)
		})
	},
	// wants to know who asks: a password with each request, or a token that a service of its own gives for one
	"basic": func(next http.Handler) http.Handler { return locked(next, false) },
	"token": func(next http.Handler) http.Handler { return locked(next, true) },
	// lets pass what it lets pass, and says how little is left
	"quota": func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("RateLimit-Limit", "100;w=21600")
			w.Header().Set("RateLimit-Remaining", "7;w=21600")
			next.ServeHTTP(w, r)
		})
	},
	// has another idea of what time it is
	"tomorrow": func(next http.Handler) http.Handler { return otherwise(next, 48*time.Hour) },
	"fast":     func(next http.Handler) http.Handler { return otherwise(next, -10*time.Minute) },
	"used-up": func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("RateLimit-Limit", "100;w=21600")
			w.Header().Set("RateLimit-Remaining", "0;w=21600")
			http.Error(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`, http.StatusTooManyRequests)
		})
	},
	"html": func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><title>Log in to the hotel's network</title></html>")
		})
	},
	"missing-layer": onLayers(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN"}]}`, http.StatusNotFound)
	}),
	"forbidden-layer": onLayers(func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		http.Error(w, `{"errors":[{"code":"DENIED"}]}`, http.StatusForbidden)
	}),
	// the right size, the wrong bytes
	"corrupt": onLayers(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		body[len(body)/2] ^= 0xff
		_, _ = w.Write(body)
	}),
	// an end before the end, every time
	"truncate": onLayers(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}),
	// half of a layer, and then nothing until the client goes away
	"stall": onLayers(func(w http.ResponseWriter, r *http.Request, body []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}),
}

// otherwise dates its answers by another clock.
func otherwise(next http.Handler, ahead time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// locked asks for the user "me" with the password "secret word".
func locked(next http.Handler, byToken bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		known := user == "me" && password == "secret word"
		switch {
		case byToken && r.URL.Path == "/token" && known:
			_, _ = io.WriteString(w, `{"token":"open-sesame"}`)
			return
		case !byToken && known, byToken && r.Header.Get("Authorization") == "Bearer open-sesame":
			next.ServeHTTP(w, r)
			return
		case byToken && r.URL.Path != "/token":
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="here"`, r.Host))
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		}
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
	})
}

// onLayers replaces the answers to requests for layers.
func onLayers(answer func(w http.ResponseWriter, r *http.Request, body []byte)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/blobs/") || r.Method != http.MethodGet {
				next.ServeHTTP(w, r)
				return
			}
			r.Header.Del("Range")
			whole := httptest.NewRecorder()
			next.ServeHTTP(whole, r)
			if whole.Code != http.StatusOK || bytes.HasPrefix(whole.Body.Bytes(), []byte("{")) {
				w.WriteHeader(whole.Code)
				_, _ = w.Write(whole.Body.Bytes())
				return
			}
			answer(w, r, whole.Body.Bytes())
		})
	}
}

// misbehave switches the registry to a mode.
func misbehave(r *fixture.Registry, mode string) error {
	if mode == "down" {
		r.Close()
		return nil
	}
	middle, ok := modes[mode]
	if !ok {
		return fmt.Errorf("no mode %q", mode)
	}
	r.Intercept(middle)
	return nil
}
