package subuid_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSecretsBelongToTheJob: the file is the job's user's, and of the other users of the container only root reads it, who may read
// everything.
func TestSecretsBelongToTheJob(t *testing.T) {
	b, ref := database(t)
	if err := os.WriteFile(filepath.Join(b.wd, "key"), []byte("CaNaRy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := []string{"run", "--userns", "subuid", "--secret", "id=k,src=key"}
	const look = `stat -c "%a %u:%g" /run/secrets/k; cat /run/secrets/k 2>/dev/null || echo closed`
	for _, test := range []struct{ name, want string }{
		{"db", "400 999:999\nCaNaRy"}, {"0", "400 0:0\nCaNaRy"}, {"1000:101", "400 1000:101\nCaNaRy"},
	} {
		if got := b.ok(append(secret, "-u", test.name, ref, "sh", "-c", look)...); got != test.want {
			t.Errorf("as %s:\n%s\nwant\n%s", test.name, got, test.want)
		}
	}
	// One that becomes somebody else leaves it behind, as it does its other files.
	if got := b.ok(append(secret, "-u", "0", ref, "busybox", "su", "-s", "/bin/sh", "db", "-c", look)...); got != "400 0:0\nclosed" {
		t.Errorf("after su:\n%s", got)
	}
	// Not even root changes it.
	const try = `chmod 644 /run/secrets/k || rm -f /run/secrets/k || chown db /run/secrets/k || touch /run/secrets/x || echo kept`
	if got := b.ok(append(secret, "-u", "0", ref, "sh", "-c", try+" 2>/dev/null")...); got != "kept" {
		t.Errorf("%q", got)
	}
}
