package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
)

func TestRead(t *testing.T) {
	const set = "[gpu]\ndriver_root = \"/opt/%\"\n"
	for _, c := range []struct{ site, user, root, from string }{
		{"", "", "", ""},
		{"# nothing\n", "[gpu]\n", "", ""},
		{strings.ReplaceAll(set, "%", "site"), "", "/opt/site", "site.toml"},
		{strings.ReplaceAll(set, "%", "site"), "[gpu]\n", "/opt/site", "site.toml"},
		{"", strings.ReplaceAll(set, "%", "user"), "/opt/user", "user.toml"},
		{strings.ReplaceAll(set, "%", "site"), strings.ReplaceAll(set, "%", "user"), "/opt/user", "user.toml"},
	} {
		got, err := readBoth(t, c.site, c.user)
		if err != nil || got.GPU.DriverRoot != c.root || got.GPU.DriverRootFrom != "" && filepath.Base(got.GPU.DriverRootFrom) != c.from || (got.GPU.DriverRootFrom == "") != (c.from == "") {
			t.Errorf("%q, %q: %+v, %v", c.site, c.user, got, err)
		}
	}
}

func TestReadWhatIsNone(t *testing.T) {
	for _, text := range []string{"[gpu]\ndriver_rot = \"/x\"\n", "colour = 1\n", "[gpu\n", "[gpu]\ndriver_root = 3\n", "[gpu]\ndriver_root = \"opt\"\n", "\x00"} {
		if got, err := readBoth(t, "", text); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "user.toml") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// readBoth reads a site's and a user's file; "": there is none.
func readBoth(t *testing.T, site, user string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"site.toml": site, "user.toml": user} {
		if text != "" {
			if err := fsx.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return Read(filepath.Join(dir, "site.toml"), filepath.Join(dir, "user.toml"))
}
