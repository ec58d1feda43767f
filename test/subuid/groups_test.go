package subuid_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestSupplementaryGroups: what is open to the caller by a supplementary group alone is open to a job that is the caller. Among
// several users it is not: the groups are the image's there.
func TestSupplementaryGroups(t *testing.T) {
	shared := need.Shared(t)
	b, ref := database(t)
	for _, options := range []string{"", "-u db", "-u 4242:4243", "--userns root", "--userns host-uid"} {
		t.Run(options, func(t *testing.T) {
			b.t = t
			run := append([]string{"run", "-v", shared + ":/shared"}, strings.Fields(options)...)
			if got := b.ok(append(run, ref, "cat", "/shared/text")...); got != "shared" {
				t.Errorf("%q", got)
			}
		})
	}
	for _, user := range []string{"root", "db"} {
		r := b.do("run", "--userns", "subuid", "-u", user, "-v", shared+":/shared", ref, "cat", "/shared/text")
		if r.code != 1 || !strings.Contains(r.stderr, "Permission denied") {
			t.Errorf("%s among others: status %d, %q %q", user, r.code, r.stdout, r.stderr)
		}
	}
}

// TestHomes: $HOME is set, there, and writable, in every mode.
func TestHomes(t *testing.T) {
	b, ref := database(t)
	for _, options := range []string{"", "-u db", "-u app", "-u 4242", "-u nobody", "--userns root", "--userns host-uid"} {
		for _, mode := range []string{"", "--userns subuid"} {
			if mode != "" && strings.Contains(options, "--userns") {
				continue
			}
			run := append([]string{"run"}, strings.Fields(options+" "+mode)...)
			if got := b.ok(append(run, ref, "sh", "-c", `cd && pwd >.probe && cat .probe && stat -c %u .probe`)...); !strings.HasPrefix(got, "/") {
				t.Errorf("%s %s: %q", options, mode, got)
			}
		}
	}
}
