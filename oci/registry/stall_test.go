package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// silent begins an answer and then says nothing until the client goes.
func silent(rw http.ResponseWriter, r *http.Request, status int) {
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte("{"))
	_ = http.NewResponseController(rw).Flush()
	<-r.Context().Done()
}

// Each kind of request has the same patience, in the body too.
func TestStallsEnd(t *testing.T) {
	for name, stalls := range map[string]func(rw http.ResponseWriter, r *http.Request) bool{
		"ping before the header": func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				<-r.Context().Done()
			}
			return r.URL.Path == "/v2/"
		},
		"ping": func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				silent(rw, r, http.StatusInternalServerError)
			}
			return r.URL.Path == "/v2/"
		},
		"token": func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				silent(rw, r, http.StatusOK)
			}
			return r.URL.Path == "/token"
		},
		"manifest": func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
				silent(rw, r, http.StatusOK)
				return true
			}
			return false
		},
		"blob": func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blobs/") {
				silent(rw, r, http.StatusOK)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			newWorld(t) // nobody's credentials
			c := newContents()
			c.tags["1"] = c.image("amd64", "").Digest
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch {
				case stalls(rw, r):
				case r.URL.Path == "/token":
					_, _ = fmt.Fprint(rw, `{"token":"t"}`)
				case r.Header.Get("Authorization") == "":
					rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token"`, r.Host))
					rw.WriteHeader(http.StatusUnauthorized)
				default:
					c.ServeHTTP(rw, r)
				}
			}))
			t.Cleanup(server.Close)
			client := NewClient(Options{Pause: time.Millisecond, Stall: 50 * time.Millisecond})
			_, err := resolve(t, client, server.Listener.Addr().String()+"/a:1", "amd64")
			if !errors.Is(err, ErrUnreachable) || !errors.Is(err, errStalled) {
				t.Errorf("error %v, want that nothing came", err)
			}
		})
	}
}

// Who waits for another's connection can be cancelled.
func TestWaitingToConnectHonoursContext(t *testing.T) {
	w := newWorld(t)
	started, release := make(chan struct{}), make(chan struct{})
	w.hosts[host] = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		rw.WriteHeader(http.StatusTeapot)
	})
	client, ref := w.client(), parse(t, host+"/a:1")
	ended := make(chan error)
	go func() {
		_, err := client.session(t.Context(), ref)
		ended <- err
	}()
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.session(ctx, ref); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	close(release)
	if err := <-ended; err == nil {
		t.Error("connected to a teapot")
	}
}
