package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHomesAreThere: whatever the passwd file says, $HOME is a directory inside.
func TestHomesAreThere(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct{ name, home, want string }{
		{"there", "/root", "/root"},
		{"missing", "/var/lib/db", "/var/lib/db"},
		{"below a link", "/link/db", "/link/db"},
		{"the root", "/", "/"},
		{"a file", "/file", "/"},
		{"below a file", "/file/db", "/"},
		{"a link out", "/out/db", "/"},
		{"a link to nothing", "/dangling", "/"},
		{"a loop", "/loop/db", "/"},
		{"climbs", "/../../db", "/../../db"},
		{"too deep", strings.Repeat("/d", 20), "/"},
		{"too long", "/" + strings.Repeat("d", 300), "/"},
		{"relative", "home", "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			for _, dir := range []string{"etc", "root", "real"} {
				if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write(t, filepath.Join(root, "file"), "")
			link(t, "/real", filepath.Join(root, "link"))
			link(t, outside+"/none", filepath.Join(root, "out"))
			link(t, "nowhere", filepath.Join(root, "dangling"))
			link(t, "loop", filepath.Join(root, "loop"))
			write(t, filepath.Join(root, "etc/passwd"), "db:x:5:5::"+c.home+":/bin/sh\n")
			u, err := FindUser(root, "db", Account{})
			if err != nil || u.Home != c.want {
				t.Fatalf("%q, %v, want %q", u.Home, err, c.want)
			}
			inside, err := filepath.EvalSymlinks(filepath.Join(root, strings.Replace(filepath.Clean(c.want), "/link/", "/real/", 1)))
			if err != nil || !strings.HasPrefix(inside, root) {
				t.Errorf("%s, %v", inside, err)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
				t.Errorf("outside: %v, %v", entries, err)
			}
		})
	}
}
