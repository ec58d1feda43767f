package cdi

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

// TestMain runs the tests as an ordinary user, whose files are not root's.
func TestMain(m *testing.M) { os.Exit(need.Unprivileged(m)) }

func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

func device(kind, name, env string) string {
	return "cdiVersion: 0.6.0\nkind: " + kind + "\ndevices:\n  - name: " + name + "\n    containerEdits:\n      env: [" + env + "]\n"
}

func find1(t *testing.T, dirs []string, text string) (Found, error) {
	t.Helper()
	name, err := ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Find(dirs, []Name{name})
	if err != nil {
		return Found{}, err
	}
	return list[0], nil
}

func TestFind(t *testing.T) {
	low, high := t.TempDir(), t.TempDir()
	dirs := []string{low, high, filepath.Join(low, "nosuch")}
	put(t, low, "one.yaml", device("a.com/gpu", "0", "FROM=low"))
	file := put(t, high, "one.yaml", device("a.com/gpu", "0", "FROM=high"))
	put(t, low, "two.json", `{"cdiVersion":"0.5.0","kind":"a.com/gpu","devices":[{"name":"1","containerEdits":{"env":["FROM=json"]}}]}`)
	put(t, low, "note.txt", "nothing")
	found, err := find1(t, dirs, "a.com/gpu=0")
	if err != nil || found.File != file || found.Devices.Env[0] != "FROM=high" || !strings.HasPrefix(found.Digest.String(), "sha256:") {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err = find1(t, dirs, "a.com/gpu=1"); err != nil || found.Devices.Env[0] != "FROM=json" {
		t.Errorf("%+v, %v", found, err)
	}
	for text, says := range map[string]string{
		"a.com/gpu=2": "there are a.com/gpu=0, 1", "b.com/gpu=0": "no specification is installed for b.com/gpu; there are those for a.com/gpu",
	} {
		if _, err := find1(t, dirs, text); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
	if _, err := find1(t, nil, "a.com/gpu=0"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no CDI specification is installed") {
		t.Error(err)
	}
	put(t, high, "again.yaml", device("a.com/gpu", "0", "FROM=again"))
	if _, err := find1(t, dirs, "a.com/gpu=0"); !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), "both") {
		t.Errorf("two files of one directory: %v", err)
	}
}

// What is wrong with a file matters to those alone who look for what could be in it.
func TestDamagedSpecifications(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "good.yaml", device("a.com/gpu", "0", "A=1"))
	put(t, dir, "bad.yaml", "devices: [\n")
	put(t, dir, "large.json", strings.Repeat(" ", mostBytes+1))
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := find1(t, []string{dir}, "a.com/gpu=0"); err != nil {
		t.Error(err)
	}
	_, err := find1(t, []string{dir}, "a.com/gpu=1")
	for _, says := range []string{"bad.yaml", "large.json: not a file", "zero.json: not a file"} {
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestOwners(t *testing.T) {
	const hooked = "cdiVersion: 0.6.0\nkind: a.com/gpu\ndevices:\n  - name: h\n    containerEdits:\n      hooks: [{hookName: createContainer, path: /bin/true}]\n" +
		"  - name: plain\n    containerEdits:\n      env: [A=1]\n"
	dir := t.TempDir()
	file := put(t, dir, "a.yaml", hooked)
	if _, err := find1(t, []string{dir}, "a.com/gpu=plain"); err != nil {
		t.Error(err)
	}
	if _, err := find1(t, []string{dir}, "a.com/gpu=h"); !errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), "a.yaml belongs to user") {
		t.Error(err)
	}
	for _, path := range []string{file, dir} {
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, before.Mode().Perm()|0o002); err != nil {
			t.Fatal(err)
		}
		if _, err := find1(t, []string{dir}, "a.com/gpu=plain"); !errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), "everybody may write to "+path) {
			t.Errorf("%s: %v", path, err)
		}
		if err := os.Chmod(path, before.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirs(t *testing.T) {
	if got := Dirs("/home/me/.config"); len(got) != 3 || got[2] != "/home/me/.config/cdi" || len(systemDirs) != 2 {
		t.Errorf("%q", got)
	}
	if got := Dirs(""); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
