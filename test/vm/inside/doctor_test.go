package inside_test

import (
	"encoding/json"
	"testing"
)

// TestDoctorKnowsGroups: whom the doctor tells that limits hold can have them, and nobody else; nothing of its attempts stays.
func TestDoctorKnowsGroups(t *testing.T) {
	everyone := []*sailor{newSailor(t, "plain", session), newSailor(t, "full", session), newSailor(t, "full", delegated), newSailor(t, "root", bare)}
	for _, s := range everyone {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			var report struct {
				Checks []struct{ Check, State, Found, Fix string }
			}
			r := s.do("doctor", "--offline", "--json")
			if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
				t.Fatalf("status %d: %v: %s", r.code, err, r.stderr)
			}
			state, said := "", ""
			for _, f := range report.Checks {
				if f.State == "failure" || f.State != "ok" && f.Fix == "" {
					t.Errorf("%+v", f)
				}
				if f.Check == "cgroups" {
					state, said = f.State, f.Found+": "+f.Fix
				}
			}
			limited := s.do("run", "-q", "--require-limits", "--memory", "200m", "--cpus", "1", "--pids-limit", "64", busybox, "true")
			if holds := limited.code == 0; holds != (state == "ok") {
				t.Errorf("the doctor says %s (%s), and a run with limits: status %d: %s", state, said, limited.code, limited.stderr)
			}
			s.nothingLeft()
		})
	}
}
