package inside_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// killsEnv is how often `coracle run` is killed in each way.
const killsEnv = "CORACLE_TEST_KILLS"

// killing runs a job for as long as each argument says, in seconds, and kills `coracle run`; "asks+SECONDS" counts from when systemd is
// about to be asked for a scope, as a mark in the store says. After the next command it waits for
// the job's group to be gone, and says what is left: systemd takes a moment to remove a scope. It goes on in one session: at the
// end of a unit systemd kills whoever is left in it.
const killing = `for moment in "$@"; do
	coracle images
	coracle run -q --require-limits --memory 200m --pids-limit 64 oci:/payload/busybox sh -c 'trap "" TERM HUP; while :; do sleep 1; done; : ` + marker + `' &
	pid=$!
	while [ "$moment" != "${moment#asks+}" ] && kill -0 $pid; do
		compgen -G "$HOME/.local/share/coracle/tmp/*.mark-*" && moment=${moment#asks+}
		sleep 0.002
	done
	sleep ${moment#asks+}; kill -9 $pid; wait $pid
done >/dev/null 2>&1
coracle images >/dev/null || exit 9
for try in $(seq 300); do
	left=$(find /sys/fs/cgroup -name "coracle-*" 2>/dev/null)
	[ -n "$left" ] || exit 0
	sleep 0.1
done
echo "$left"`

// asking is how long it takes at most, in seconds, until systemd has made a scope.
const asking = 0.06

// TestKilledAtAnyMoment: whenever who has asked for limits kills `coracle run`, the next command leaves neither job nor group; not even the
// empty scope that systemd keeps when the process had been killed before systemd took it in, as happens to about one kill in a hundred. So many
// take minutes: it is asked for, and not part of every run.
func TestKilledAtAnyMoment(t *testing.T) {
	times, err := strconv.Atoi(os.Getenv(killsEnv))
	if err != nil {
		t.Skip("kills runs when " + killsEnv + " says how often")
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	everyone := limited(t)
	everyone[newSailor(t, "plain", session)] = "systemd"
	for s, mechanism := range everyone {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			start := time.Now()
			s.run(busybox, "true")
			whole := time.Since(start) // and a login: most kills are before the job runs, and some after
			args := []string{"bash", "-c", killing, "bash"}
			for range times {
				args = append(args, fmt.Sprintf("%.3f", random.Float64()*whole.Seconds()))
				if mechanism == "systemd" {
					args = append(args, fmt.Sprintf("asks+%.3f", random.Float64()*asking))
				}
			}
			if r := s.shell(args...); r.code != 0 || r.stdout != "" {
				t.Errorf("status %d, what is left is %q %s", r.code, r.stdout, r.stderr)
			}
			s.nothingLeft()
		})
	}
}
