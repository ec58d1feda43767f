package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnnamedUsersGetAnEntry(t *testing.T) {
	for _, c := range []struct {
		name, spec     string
		account        Account
		user           User
		passwd, groups string // the first line of each afterwards
	}{
		{"known", "ml", Account{User: "ann"}, User{1000, 1001, "/home/ml"}, "root:x:0:0:root:/root:/bin/sh", "root:x:0:"},
		{"a number that nobody has", "4242:4243", Account{}, User{4242, 4243, "/"}, "job:x:4242:4243::/:/bin/sh", "job:x:4243:"},
		{"a name for it", "4242:4243", Account{User: "ann", Group: "staff"}, User{4242, 4243, "/"}, "ann:x:4242:4243::/:/bin/sh", "staff:x:4243:"},
		{"a name that is taken", "4242:4243", Account{User: "ml", Group: "video"}, User{4242, 4243, "/"}, "ml-4242:x:4242:4243::/:/bin/sh", "video-4243:x:4243:"},
		{"a name that breaks the file", "4242", Account{User: "a:b\nroot:x:0"}, User{4242, 0, "/"}, "job:x:4242:0::/:/bin/sh", "root:x:0:"},
		{"one's own name", "1000:1001", Account{User: "ann", Group: "staff", Own: true}, User{1000, 1001, "/home/ann"}, "ann:x:1000:1001::/home/ann:/bin/sh", "staff:x:1001:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(root, "etc/passwd"), passwd)
			write(t, filepath.Join(root, "etc/group"), groups)
			got, err := FindUser(root, c.spec, c.account)
			if err != nil || got != c.user {
				t.Errorf("%+v, %v, want %+v", got, err, c.user)
			}
			for file, want := range map[string][2]string{"passwd": {c.passwd, passwd}, "group": {c.groups, groups}} {
				text := read(t, filepath.Join(root, "etc", file))
				if first, _, _ := strings.Cut(text, "\n"); first != want[0] || !strings.HasSuffix(text, want[1]) {
					t.Errorf("%s: %q, want %q before what was there", file, text, want[0])
				}
			}
			if st, err := os.Stat(filepath.Join(root, "home/ann")); c.account.Own && (err != nil || !st.IsDir()) {
				t.Error(err)
			}
		})
	}
}

func TestImageWithoutAccountsGetsThem(t *testing.T) {
	root := t.TempDir()
	if _, err := FindUser(root, "", Account{}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(root, "etc/passwd")); got != "root:x:0:0::/:/bin/sh\n" {
		t.Errorf("%q", got)
	}
}

// Entries are only ever written to plain files of /etc itself; the host's are out of reach.
func TestEntriesGoNowhereElse(t *testing.T) {
	outside := t.TempDir()
	write(t, filepath.Join(outside, "passwd"), "mine")
	for name, plant := range map[string]func(root string){
		"passwd is a link out": func(root string) {
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, filepath.Join(outside, "passwd"), filepath.Join(root, "etc/passwd"))
		},
		"etc is a link out":  func(root string) { link(t, outside, filepath.Join(root, "etc")) },
		"home is a link out": func(root string) { link(t, outside, filepath.Join(root, "home")) },
		"home is a file":     func(root string) { write(t, filepath.Join(root, "home"), "") },
		"the temporary name is a link out": func(root string) {
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, filepath.Join(outside, "passwd"), filepath.Join(root, "etc/.passwd.coracle"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			plant(root)
			if _, err := FindUser(root, "7:7", Account{User: "ann", Own: true}); err != nil {
				t.Error(err)
			}
			entries, err := os.ReadDir(outside)
			if err != nil || len(entries) != 1 || read(t, filepath.Join(outside, "passwd")) != "mine" {
				t.Errorf("outside: %v, %v", entries, err)
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
