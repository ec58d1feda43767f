package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
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

func TestNoLayersIsAnError(t *testing.T) {
	if err := (Root{}).Mount(t.TempDir()); !errors.Is(err, ErrOverlay) {
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
