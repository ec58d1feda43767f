package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// noLandlock is a kernel without it.
var noLandlock = without(unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF)

func needFence(t *testing.T) {
	t.Helper()
	if !fence.Possible() {
		need.Missing(t, "landlock", fmt.Sprintf("the kernel's Landlock has ABI %d", fence.ABI()))
	}
}

// leadAway makes the store's directory of temporary files a link to another directory, which it returns, as soon as a registry is
// asked for something: what is then unpacked goes there, unless the kernel has been told to see to it that it does not.
func (b *box) leadAway(reg *fixture.Registry) (outside string) {
	b.t.Helper()
	outside = filepath.Join(b.wd, "outside")
	if err := os.Mkdir(outside, 0o700); err != nil {
		b.t.Fatal(err)
	}
	var once sync.Once
	reg.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			once.Do(func() {
				temp := filepath.Join(b.root, "tmp")
				if err := errors.Join(os.Rename(temp, temp+".away"), os.Symlink(outside, temp)); err != nil {
					b.t.Error(err)
				}
			})
			next.ServeHTTP(w, r)
		})
	})
	return outside
}

// changed is when a name in a directory was made or removed last.
func changed(t *testing.T, dir string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mtim
}

// TestPullIsConfined: a pull, by itself or of a run, writes nothing outside of its store, even if its own paths come to lead there.
// On a kernel without Landlock the same attempt shows that it would have.
func TestPullIsConfined(t *testing.T) {
	needFence(t)
	for _, tc := range []struct {
		name     string
		args     []string
		lack     lacking
		confined bool
	}{
		{"pull", []string{"pull", "-q"}, lacking{}, true},
		{"run", []string{"run", "-q"}, lacking{}, true},
		{"pull without Landlock", []string{"pull", "-q"}, noLandlock, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, reg := newBox(t), fixture.Serve(t)
			reg.Push("busybox:1", fixture.Busybox(t))
			b.ok("images")
			outside := b.leadAway(reg)
			before := changed(t, outside)
			j := tc.lack.command(b, append(tc.args, reg.Ref("busybox:1"))...)
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			r := b.wait(j)
			passed := changed(t, outside) != before && tc.args[0] != "run" // which makes its record there, unconfined
			if tc.confined && (r.code != 125 || !strings.Contains(r.stderr, "permission denied") || !strings.Contains(r.stderr, "hint: ") || passed) {
				t.Errorf("status %d, something was made outside: %v: %s", r.code, passed, r.stderr)
			}
			if !tc.confined && (r.code != 0 || !passed) {
				t.Errorf("status %d, something was made outside: %v: %s", r.code, passed, r.stderr)
			}
		})
	}
}

// TestLinksInTheStoreAreRefused: whoever has put one in the place of an inner directory of a store, nothing is written where it leads.
func TestLinksInTheStoreAreRefused(t *testing.T) {
	b, reg := newBox(t), fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	b.ok("images")
	for _, name := range []string{"layers/sha256", "images/sha256", "images/refs", "tmp"} {
		from, to := filepath.Join(b.root, name), filepath.Join(b.wd, strings.ReplaceAll(name, "/", "-"))
		if err := errors.Join(os.Rename(from, to), os.Symlink(to, from)); err != nil {
			t.Fatal(err)
		}
		before := changed(t, to)
		r := b.do("pull", "-q", reg.Ref("busybox:1"))
		if r.code != 125 || !strings.Contains(r.stderr, from+" is a symbolic link") || !strings.Contains(r.stderr, "hint: remove the link") || changed(t, to) != before {
			t.Errorf("%s: %+v", name, r)
		}
		if err := errors.Join(os.Remove(from), os.Rename(to, from)); err != nil {
			t.Fatal(err)
		}
	}
	b.ok("pull", "-q", reg.Ref("busybox:1"))
}

// TestConfinedPullAsksHelpers: a credential helper is a program of the host, which writes where it likes.
func TestConfinedPullAsksHelpers(t *testing.T) {
	needFence(t)
	for _, command := range []string{"pull", "run"} {
		t.Run(command, func(t *testing.T) {
			b, reg := newBox(t), fixture.Serve(t)
			reg.Push("busybox:1", fixture.Busybox(t))
			reg.Intercept(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if user, password, _ := r.BasicAuth(); user != "me" || password != "secret" {
						w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					next.ServeHTTP(w, r)
				})
			})
			b.file("config/config.json", `{"credHelpers":{"`+reg.Host()+`":"written"}}`)
			b.file("bin/docker-credential-written", "#!/bin/sh\ngrep NoNewPrivs /proc/self/status >"+b.wd+"/seen\necho '{\"Username\":\"me\",\"Secret\":\"secret\"}'\n")
			if err := os.Chmod(filepath.Join(b.wd, "bin/docker-credential-written"), 0o700); err != nil {
				t.Fatal(err)
			}
			args := []string{command, "-q", reg.Ref("busybox:1")}
			if command == "run" {
				args = append(args, "true")
			}
			j := &job{Cmd: b.command(args...)}
			j.Stdout, j.Stderr = &j.stdout, &j.stderr
			j.Env = append(j.Env, "DOCKER_CONFIG="+b.wd+"/config", "PATH="+b.wd+"/bin:"+os.Getenv("PATH"))
			if err := j.Start(); err != nil {
				t.Fatal(err)
			}
			if r := b.wait(j); r.code != 0 {
				t.Fatalf("status %d: %s", r.code, r.stderr)
			}
			own, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			seen, err := os.ReadFile(filepath.Join(b.wd, "seen"))
			if want := fmt.Sprintf("NoNewPrivs:\t%d\n", own); err != nil || string(seen) != want {
				t.Errorf("the helper saw %q, want %q: %v", seen, want, err)
			}
		})
	}
}

// TestPullOfARunEndsWithIt: whether a run is killed or asked to end while it pulls, the pull ends as well and leaves nothing.
func TestPullOfARunEndsWithIt(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGINT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			b, reg := newBox(t), fixture.Serve(t)
			img := fixture.Busybox(t)
			reg.Push("busybox:1", img)
			asked, gone := make(chan any), make(chan any)
			var once, left sync.Once
			reg.Intercept(func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !strings.HasSuffix(r.URL.Path, string(img.Layers[0].Descriptor.Digest)) {
						next.ServeHTTP(w, r)
						return
					}
					once.Do(func() { close(asked) })
					<-r.Context().Done() // the pull has ended
					left.Do(func() { close(gone) })
				})
			})
			j := b.start("run", "-q", reg.Ref("busybox:1"), "true")
			<-asked
			if err := j.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if r := b.wait(j); r.code != 128+int(sig) {
				t.Errorf("status %d: %s", r.code, r.stderr)
			}
			<-gone
			nothingLeft(t, b)
		})
	}
}
