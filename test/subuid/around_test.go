package subuid_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestWhatIsAroundKeepsThemAway: where the ids that files grant are not to be had, for what is around Coracle, a run says so, and the doctor
// that something is not to be had which only some runs ask for; it is nothing that a reinstallation mends.
func TestWhatIsAroundKeepsThemAway(t *testing.T) {
	b, ref := database(t)
	for name, tc := range map[string]struct {
		around []string
		says   string
	}{
		"a user namespace with one user":   {[]string{need.Tool(t, "unshare"), "--user", "--map-current-user"}, "the user namespace around Coracle does not have the user ids 0"},
		"a user namespace with root alone": {[]string{need.Tool(t, "unshare"), "--user", "--map-root-user"}, "the user namespace around Coracle has none to grant"},
		"no new privileges":                {[]string{need.Tool(t, "setpriv"), "--no-new-privs"}, "newuidmap gains no privileges here, since no_new_privs is set"},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			r := b.within(tc.around, "run", "--userns", "subuid", ref, "true")
			if r.code != 125 || !strings.Contains(r.stderr, tc.says) || !strings.Contains(r.stderr, "\nhint: run Coracle outside of ") {
				t.Errorf("a run: status %d, %s", r.code, r.stderr)
			}
			var report struct {
				Checks []struct{ Check, State, Found, Fix, Who string }
			}
			r = b.within(tc.around, "doctor", "--offline", "--json")
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
				t.Fatalf("the doctor: status %d, %v, %s", r.code, err, r.stderr)
			}
			for _, f := range report.Checks {
				if f.Check == "subordinate-ids" && (f.State != "note" || !strings.Contains(f.Found, tc.says) || !strings.HasPrefix(f.Fix, "run Coracle outside of ") || f.Who != "you") {
					t.Errorf("the doctor: %+v", f)
				}
			}
			b.empty("upper", "tmp")
		})
	}
}

// TestNothingIsSaidOfWhatWasNotTried: where there is no place to try subordinate ids in, it is not said that they do not work.
func TestNothingIsSaidOfWhatWasNotTried(t *testing.T) {
	b := newBox(t)
	cmd := b.command("doctor", "--offline")
	cmd.Env = append(cmd.Env, "CORACLE_ROOT=/proc/none")
	r := b.wait(b.begin(cmd))
	if r.code != 2 || !regexp.MustCompile(`(?m)^note +subordinate-ids +you have some; not known whether a container can have them: none could be tried$`).MatchString(r.stdout) {
		t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// within runs a command by another program.
func (b *box) within(around []string, args ...string) result {
	b.t.Helper()
	cmd := b.command(args...)
	cmd.Path, cmd.Args = around[0], slices.Concat(around, cmd.Args)
	return b.wait(b.begin(cmd))
}
