package page

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/report"
	"github.com/coracle-run/coracle/internal/ui"
)

// server serves a page and notes what else it is asked for.
type server struct {
	*httptest.Server
	page []byte

	mu    sync.Mutex
	asked []string
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	if r.URL.Path == "/page" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(s.page)
	}
}

// run is one whose every text tries to reach a server, and to run.
func run(url, name string) report.Run {
	bad := fmt.Sprintf(`%s</script></style></title></pre><img src="%s/img" onerror="document.title='owned'"><script src="%s/script"></script>`+
		`<script>document.title='owned';fetch('%s/fetch')</script><link rel=stylesheet href="%s/css"><iframe src="%s/frame"></iframe>`+"\x1b]0;owned\x07", name, url, url, url, url, url)
	var r report.Run
	r.ID, r.Name, r.State, r.Message, r.Advice = "01KAH9V2QX0000000000000001", bad, record.Ended, bad, bad
	r.Cause, r.Argv, r.Image.Ref, r.Host.Hostname = record.Cause(bad), []string{bad}, bad, bad
	r.Env.Set = map[string]string{bad: bad}
	r.Mounts = []record.Mount{{Source: bad, Target: bad, Mode: bad}}
	var m record.Metric
	m.Add(0.5, 1)
	r.Metrics = map[string]record.Metric{bad: m}
	r.Tail = []string{bad}
	points := []report.Point{{T: 0, Mean: 1}, {T: 1, Mean: 2, Step: 5}, {T: 2, Mean: 1.5, Max: 3}}
	r.Training = []report.Series{{Name: bad, Points: points}, {Name: "flat", Points: []report.Point{{T: 0, Mean: 1}, {T: 1, Mean: 1}}}}
	r.System = []report.Chart{{Title: "Memory", Unit: report.Bytes, Lines: []report.Series{{Name: bad, Points: points}}}}
	return r
}

// open has the browser load a page, run its script, and give what became of it.
func open(t *testing.T, browser, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=2000", "--dump-dom", url)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out.String()
}

func TestPageInBrowser(t *testing.T) {
	browser := need.Tool(t, "chromium")
	s := &server{}
	s.Server = httptest.NewServer(s)
	defer s.Close()
	for _, runs := range [][]report.Run{{run(s.URL, "one")}, {run(s.URL, "one"), run(s.URL, "two")}} {
		var b bytes.Buffer
		words := report.Words{
			Escape: ui.Escape, Memory: ui.Memory, Size: ui.Size, Duration: ui.Duration, Time: func(t time.Time) string { return t.UTC().String() },
		}
		if err := report.HTML(&b, runs, words, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.page, s.asked = b.Bytes(), nil
		dom := open(t, browser, s.URL+"/page")
		if want := 2 + len(runs); !strings.Contains(dom, fmt.Sprintf(`data-drawn="%d"`, want)) { // each has a metric of its own
			t.Errorf("%d runs: the script has not drawn %d charts", len(runs), want)
		}
		if n := strings.Count(dom, `class="line `); n != 3*len(runs) {
			t.Errorf("%d runs: %d curves", len(runs), n)
		}
		if strings.Contains(dom, "<title>owned") || strings.Contains(dom, "NaN") {
			t.Errorf("%d runs: %.300s", len(runs), dom)
		}
		s.mu.Lock()
		if len(s.asked) != 1 {
			t.Errorf("%d runs: the page asked for %q", len(runs), s.asked)
		}
		s.mu.Unlock()
	}
}
