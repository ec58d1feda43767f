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

// killing runs a job for as long as each argument says, in seconds, and kills `coracle run`. After the next command it waits for
// the job's group to be gone, and says what is left: systemd takes a moment to remove a scope. It goes on in one session: at the
// end of a unit systemd kills whoever is left in it.
const killing = `for moment in "$@"; do
	coracle run -q --require-limits --memory 200m --pids-limit 64 oci:/payload/busybox sh -c 'trap "" TERM HUP; while :; do sleep 1; done; : ` + marker + `' &
	sleep $moment; kill -9 $!; wait $!
done >/dev/null 2>&1
coracle images >/dev/null || exit 9
for try in $(seq 300); do
	left=$(find /sys/fs/cgroup -name "coracle-*" 2>/dev/null)
	[ -n "$left" ] || exit 0
	sleep 0.1
done
echo "$left"`

// TestKilledAtAnyMoment: whenever who has asked for limits kills `coracle run`, the next command leaves neither job nor group. Asked
// for, not part of every run, as long as about one kill in a hundred leaves an empty scope: one whose process had been killed when
// systemd took it in, which systemd then believes to be active (README.md, What is not solved).
func TestKilledAtAnyMoment(t *testing.T) {
	times, err := strconv.Atoi(os.Getenv(killsEnv))
	if err != nil {
		t.Skip("kills runs when " + killsEnv + " says how often")
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	everyone := limited(t)
	everyone[newSailor(t, "plain", session)] = ""
	for s := range everyone {
		t.Run(s.String(), func(t *testing.T) {
			s.t = t
			start := time.Now()
			s.run(busybox, "true")
			whole := time.Since(start) // and a login: most kills are before the job runs, and some after
			args := []string{"bash", "-c", killing, "bash"}
			for range times {
				args = append(args, fmt.Sprintf("%.3f", random.Float64()*whole.Seconds()))
			}
			if r := s.shell(args...); r.code != 0 || r.stdout != "" {
				t.Errorf("status %d, what is left is %q %s", r.code, r.stdout, r.stderr)
			}
			s.nothingLeft()
		})
	}
}
