package need_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// The tests of this file run below Unprivileged, as those of the packages that call it do.
func TestMain(m *testing.M) { os.Exit(need.Unprivileged(m, "need.go")) }

func TestUnprivilegedUser(t *testing.T) {
	need.NonRoot(t)
	need.Tool(t, "useradd")
	home := os.Getenv("HOME")
	if err := os.WriteFile(filepath.Join(home, "probe"), nil, 0o600); err != nil {
		t.Errorf("HOME cannot be written: %v", err)
	}
	if _, err := os.Stat("need.go"); err != nil {
		t.Errorf("the extra path was not staged: %v", err)
	}
}

func TestAbilities(t *testing.T) {
	need.UserNS(t)
	need.Overlay(t)
	path := need.Tool(t, "unshare")
	out, err := exec.Command(path, "--user", "--map-root-user", "id", "-u").Output()
	if err != nil || strings.TrimSpace(string(out)) != "0" {
		t.Errorf("unshare says uid %q, %v", out, err)
	}
}
