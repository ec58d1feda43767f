package inside_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// counts is a job of two processes that count as fast as they can, each in a file.
const counts = `count() { n=0; while :; do n=$((n+1)); echo $n >/out/$1; done; }; count child & count parent; : ` + marker

// TestPauseFreezes: where a job has a control group, the kernel holds all of it at once, no process of it sees that, and it goes on where
// it was; a frozen job can be stopped, and dies with its supervisor.
func TestPauseFreezes(t *testing.T) {
	for s, mechanism := range limited(t) {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			out := filepath.Join(s.account().HomeDir, "counts")
			if r := s.shell("mkdir", "-p", out); r.code != 0 {
				t.Fatal(r.stderr)
			}
			t.Cleanup(func() { _ = os.RemoveAll(out) })
			pauses := []string{"sh", "-c", `set -e
coracle run -q -d --name frozen --require-limits --memory 200m -v "$0":/out ` + busybox + ` sh -c "$1" >/dev/null
for name in parent child; do until test -s "$0"/$name; do sleep 0.05; done; done
coracle pause frozen
state() { cat /proc/$(coracle top frozen --json | sed -n 's/.*"pid": \([0-9]*\),.*/\1/p' | head -n1)/status | sed -n 's/^State:.//p'; }
echo "state $(state)"
for name in parent child; do cp "$0"/$name "$0"/$name.before; done
sleep 1
for name in parent child; do cmp "$0"/$name "$0"/$name.before && echo "$name stands"; done
coracle exec frozen true || echo "exec $?"
coracle unpause frozen
for name in parent child; do while cmp -s "$0"/$name "$0"/$name.before; do sleep 0.05; done; echo "$name moves"; done
coracle pause frozen
coracle stop -t 5 frozen
coracle wait frozen
cat "$(coracle runs show frozen --json | sed -n 's/.*"dir": "\(.*\)".*/\1/p')"/events.jsonl | grep -c '"paused".*cgroup-v2\|cgroup-v2.*"paused"'
`, out, counts}
			r := s.shell(pauses...)
			want := "frozen\nstate "
			if r.code != 0 || !strings.HasPrefix(r.stdout, want) || strings.Contains(r.stdout, "state T") ||
				!strings.Contains(r.stdout, "parent stands\nchild stands\nexec 125\nfrozen\nparent moves\nchild moves\nfrozen\nfrozen\n143\n2\n") {
				t.Errorf("limits by %s: status %d, %q %s", mechanism, r.code, r.stdout, r.stderr)
			}
			killed := []string{"sh", "-c", `set -e
rm -f "$0"/parent
coracle run -q -d --name killed --require-limits --memory 200m -v "$0":/out ` + busybox + ` sh -c "$1" >/dev/null
until test -s "$0"/parent; do sleep 0.05; done
coracle pause killed >/dev/null
kill -9 $(coracle runs show killed --json | sed -n 's/.*"pid": \([0-9]*\),.*/\1/p')
`, out, counts}
			if r := s.shell(killed...); r.code != 0 {
				t.Errorf("status %d, %s %s", r.code, r.stdout, r.stderr)
			}
			await(t, "a frozen job dies with its supervisor", func() error {
				if left := s.processes(); len(left) > 0 {
					return errors.New(fmt.Sprint(left))
				}
				return nil
			})
			s.ok("gc")
			s.nothingLeft()
		})
	}
}
