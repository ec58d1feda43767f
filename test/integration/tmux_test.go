package integration_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// TestTmux is a session as a person sees it: a pull that shows where it is and is given up, and one that goes well; a job whose terminal
// is resized, that is interrupted, left, attached to and ended. The shell has its terminal as it was each time.
func TestTmux(t *testing.T) {
	b := newBox(t)
	adopt(t)
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	w := newWindow(t, b, 100, 30)
	w.types("stty -g >before", "Enter")

	reg.Intercept(halfLayers)
	run := "coracle run -it --name shell " + reg.Ref("busybox:1") + " sh"
	w.types(run, "Enter")
	w.shows(`\n[0-9a-f]{12}.*MB`)
	w.types("C-c")
	w.shows(`coracle: .*interrupted by SIGINT\n\$ $`)
	if styled := w.screen("-e"); !strings.Contains(styled, "31mcoracle:") {
		t.Errorf("the failure is not in red:\n%q", styled)
	}
	w.types("echo status $?; stty -g >after; cmp before after && echo as before", "Enter")
	w.shows(`status 130\nas before\n\$ $`)

	reg.Intercept(nil)
	w.types("clear; "+run, "Enter")
	w.shows(`\n/ # $`)
	w.types("clear; stty size", "Enter")
	w.shows(`30 100\n/ # $`)
	w.do("resize-window", "-t", windowName, "-x", "90", "-y", "25")
	w.until("the job has the window's size", "stty size", `25 90\n/ # $`)
	w.types("clear; echo begun; sleep 1000", "Enter")
	w.shows(`begun$`)
	w.types("C-c")
	w.shows(`\n/ # $`)
	w.types("C-p", "C-q")
	w.shows(`goes on; 'coracle attach' has its terminal again\n\$ $`)
	w.types("clear; stty -g >after; cmp before after && echo as before; coracle ps -q | wc -l", "Enter")
	w.shows(`as before\n1\n\$ $`)
	w.types("clear; coracle attach shell", "Enter")
	w.shows(`/ # $`)
	w.types("exit 5", "Enter")
	w.shows(`\n\$ $`)
	w.types("echo status $?; stty -g >after; cmp before after && echo as before", "Enter")
	w.shows(`status 5\nas before\n\$ $`)
	w.types("exit", "Enter")
	nothingLeft(t, b)
}

// halfLayers sends half of each layer, and then nothing.
func halfLayers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		for name, values := range whole.Header() {
			w.Header()[name] = values
		}
		body := whole.Body.Bytes()
		if r.Method != http.MethodGet || len(body) < 1<<18 {
			w.WriteHeader(whole.Code)
			_, _ = w.Write(body)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(whole.Code)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
}

// windowName is tmux's session.
const windowName = "session"

// window is a terminal of tmux's with a shell in it.
type window struct {
	t            *testing.T
	tmux, socket string
}

// newWindow is one of so many columns and rows, in the box's directory. Without tmux the test is skipped.
func newWindow(t *testing.T, b *box, cols, rows int) *window {
	t.Helper()
	tmux := need.Tool(t, "tmux")
	w := &window{t: t, tmux: tmux, socket: filepath.Join(t.TempDir(), "s")}
	b.file("profile", "PS1='$ '; PATH="+filepath.Dir(b.coracle)+":$PATH; CORACLE_ROOT="+b.root+"; export PATH CORACLE_ROOT\n")
	w.do("-f", "/dev/null", "new-session", "-d", "-s", windowName, "-x", fmt.Sprint(cols), "-y", fmt.Sprint(rows), "-c", b.wd, "ENV="+b.wd+"/profile exec sh -i")
	t.Cleanup(func() { _ = w.command("kill-server").Run() }) // one without windows has ended
	w.shows(`^\$ $`)
	return w
}

func (w *window) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.tmux, append([]string{"-S", w.socket}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm-256color")
	return cmd
}

func (w *window) do(args ...string) string {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// types types text, or keys by tmux's names for them.
func (w *window) types(keys ...string) {
	w.t.Helper()
	w.do(append([]string{"send-keys", "-t", windowName}, keys...)...)
}

// screen is what is to be seen.
func (w *window) screen(options ...string) string {
	w.t.Helper()
	return w.do(append([]string{"capture-pane", "-p", "-t", windowName}, options...)...)
}

// shows waits until the screen fits, without what is blank at its end but the space behind a prompt.
func (w *window) shows(pattern string) {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	waitFor(w.t, "the screen shows "+pattern, patience, func() error {
		text := strings.TrimRight(w.screen(), "\n")
		if last := text[strings.LastIndexByte(text, '\n')+1:]; last == "$" || last == "/ #" { // tmux leaves the space out
			text += " "
		}
		if !re.MatchString(text) {
			return errors.New("it shows\n" + text)
		}
		return nil
	})
}

// until types a command again and again until the screen fits.
func (w *window) until(what, command, pattern string) {
	w.t.Helper()
	re := regexp.MustCompile(pattern)
	waitFor(w.t, what, patience, func() error {
		w.types(command, "Enter")
		w.shows(`/ # $`)
		if text := strings.TrimRight(w.screen(), "\n") + " "; !re.MatchString(text) {
			return errors.New("it shows\n" + text)
		}
		return nil
	})
}
