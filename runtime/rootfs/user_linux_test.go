package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
)

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\nml:x:1000:1001::/home/ml:/bin/sh\n\nbroken line\nrel:x:7:7::home:/bin/sh\n"
	groups = "root:x:0:\nml:x:1001:\nvideo:x:44:ml\n"
)

func TestFindUser(t *testing.T) {
	for _, c := range []struct {
		spec string
		want User
	}{
		{"", User{0, 0, "/root"}}, {"0", User{0, 0, "/root"}}, {"root", User{0, 0, "/root"}},
		{"ml", User{1000, 1001, "/home/ml"}}, {"1000", User{1000, 1001, "/home/ml"}}, {"ml:video", User{1000, 44, "/home/ml"}},
		{"ml:7", User{1000, 7, "/home/ml"}}, {"4242", User{4242, 0, "/"}}, {"4242:4243", User{4242, 4243, "/"}},
		{"rel", User{7, 7, "/"}}, {"2147483647", User{2147483647, 0, "/"}},
	} {
		got, err := findUser(c.spec, passwd, groups)
		if err != nil || got != c.want {
			t.Errorf("USER %q: %+v (%v), want %+v", c.spec, got, err, c.want)
		}
	}
}

func TestUsersThatCannotBe(t *testing.T) {
	for _, spec := range []string{"nobody-here", "-1", "4294967295", "4294967296", "99999999999999999999", "ml:nogroup", "1000:-5", ":5", ":", "../etc", "root\n"} {
		if got, err := findUser(spec, passwd, groups); !errors.Is(err, ErrUser) {
			t.Errorf("USER %q: %+v (%v), want ErrUser", spec, got, err)
		}
	}
}

// What an image may put where its passwd file should be; none may be followed outside, block, or be taken for a user list.
func TestHostileAccounts(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "passwd")
	write(t, outside, "evil:x:666:666::/:/bin/sh\n")
	for name, c := range map[string]struct {
		plant func(t *testing.T, path string)
		fails bool
	}{
		"a link to a file outside": {func(t *testing.T, path string) { link(t, outside, path) }, false},
		"a link that climbs out":   {func(t *testing.T, path string) { link(t, "../../../../../../../../"+outside, path) }, false},
		"a loop":                   {func(t *testing.T, path string) { link(t, "passwd", path) }, true},
		"a FIFO": {func(t *testing.T, path string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, true},
		"a huge file": {func(t *testing.T, path string) {
			write(t, path, "")
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
				t.Fatal(err)
			}
			c.plant(t, filepath.Join(root, "etc/passwd"))
			got, err := FindUser(root, "666", Account{})
			if c.fails != (err != nil) {
				t.Errorf("error %v", err)
			}
			if _, err := FindUser(root, "evil", Account{}); err == nil {
				t.Error("a user of the host was found")
			}
			if got.GID == 666 {
				t.Error("a group of the host was found")
			}
		})
	}
}

func TestAccountsMayBeMissing(t *testing.T) {
	root := t.TempDir()
	if got, err := FindUser(root, "", Account{}); err != nil || got != (User{0, 0, "/"}) {
		t.Errorf("%+v, %v", got, err)
	}
	root = t.TempDir()
	write(t, filepath.Join(root, "etc"), "not a directory")
	if got, err := FindUser(root, "12:13", Account{}); err != nil || got != (User{12, 13, "/"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAccountsThroughLinksInsideTheRoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "usr/etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "usr/etc/passwd"), passwd)
	link(t, "/usr/etc", filepath.Join(root, "etc"))
	if got, err := FindUser(root, "ml", Account{}); err != nil || got.UID != 1000 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestManyLayersNeedAKernelThatTakesThem(t *testing.T) {
	layers := make([]string, 400)
	for i := range layers {
		layers[i] = t.TempDir()
	}
	err := Root{Layers: layers, Upper: t.TempDir(), Work: t.TempDir()}.mountByOptions(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "Linux 6.5") {
		t.Errorf("mount(2) with 400 layers: %v", err)
	}
}

func TestCommonDirectories(t *testing.T) {
	for _, c := range []struct{ paths, want string }{
		{"/a/layers/1/fs", "/a/layers/1/"},
		{"/a/layers/1/fs /a/layers/12/fs", "/a/layers/"},
		{"/a/layers/1/fs /a/layers/1/delta", "/a/layers/1/"},
		{"/a/b /c/d", "/"},
		{"/a /a/b", "/"},
	} {
		if got := common(strings.Fields(c.paths)); got != c.want {
			t.Errorf("%s: %s, want %s", c.paths, got, c.want)
		}
	}
}

func TestNoLayersIsAnError(t *testing.T) {
	if _, err := (Root{}).Mount(t.TempDir()); !errors.Is(err, ErrOverlay) {
		t.Error(err)
	}
}

func TestRepeatedLayersAreMountedOnce(t *testing.T) {
	for _, c := range []struct{ layers, want string }{
		{"base", "base"},
		{"base a b", "base a b"},
		{"base none a none b none", "base a b none"},
		{"base a base", "a base"},
	} {
		if got := strings.Join(distinct(strings.Fields(c.layers)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.layers, got, c.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// TestCheckUser: among several users, somebody must have a number in the namespace, and gets the groups that the image says.
func TestCheckUser(t *testing.T) {
	ids := host.IDMap{
		UIDs: []host.IDRange{{Inside: 0, Host: 1000, Size: 1}, {Inside: 1, Host: 100000, Size: 2000}},
		GIDs: []host.IDRange{{Inside: 0, Host: 1000, Size: 1}, {Inside: 1, Host: 100000, Size: 1500}},
	}
	const groups = "root:x:0:\nml:x:1001:\nvideo:x:44:ml,far\nwheel:x:10:root,ml\nfar:x:1501:far\n"
	const passwd = passwd + "far:x:5:5::/:/bin/sh\n"
	for spec, want := range map[string][]uint32{
		"": {0, 10}, "root": {0, 10}, "ml": {1001, 44, 10}, "1000": {1001, 44, 10}, "ml:video": {44}, "2000:1500": {1500}, "7:0": {0},
	} {
		if got, err := checkUser(spec, passwd, groups, ids); err != nil || !slices.Equal(got, want) {
			t.Errorf("USER %q: %v, %v, want %v", spec, got, err, want)
		}
	}
	for spec, want := range map[string]uint32{"2001": 2001, "0:1501": 1501, "far": 1501, "2147483647": 2147483647} {
		_, err := checkUser(spec, passwd, groups, ids)
		if e := (*host.RangeError)(nil); !errors.As(err, &e) || e.ID != want || !strings.Contains(e.Error(), spec) {
			t.Errorf("USER %q: %v, want the id %d", spec, err, want)
		}
	}
	for _, spec := range []string{"-1", "4294967295", "4294967296", "a:b:c", "root:unknown", ":5", "ml\n"} {
		if _, err := checkUser(spec, passwd, groups, ids); !errors.Is(err, ErrUser) {
			t.Errorf("USER %q: %v", spec, err)
		}
	}
	var many strings.Builder
	for gid := range maxGroups + 100 {
		fmt.Fprintf(&many, "g%d:x:%d:ml\n", gid, gid)
	}
	if _, err := checkUser("ml", passwd, many.String(), ids); !errors.Is(err, ErrUser) {
		t.Errorf("more groups than anybody has: %v", err)
	}
}

// TestHostileAccountsAmongSeveralUsers: what cannot be a passwd file is none there either.
func TestHostileAccountsAmongSeveralUsers(t *testing.T) {
	ids := host.IDMap{UIDs: []host.IDRange{{Inside: 0, Host: 1, Size: 1000}}, GIDs: []host.IDRange{{Inside: 0, Host: 1, Size: 1000}}}
	for name, plant := range map[string]func(path string) error{
		"a FIFO": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"a loop": func(path string) error { return os.Symlink("passwd", path) },
		"huge":   func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
	} {
		root := t.TempDir()
		if err := errors.Join(os.Mkdir(filepath.Join(root, "etc"), 0o755), plant(filepath.Join(root, "etc/passwd"))); err != nil {
			t.Fatal(err)
		}
		if groups, err := CheckUser(root, "5", ids); err == nil {
			t.Errorf("%s was read: %v", name, groups)
		}
	}
}
