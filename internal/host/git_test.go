package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindGit(t *testing.T) {
	const a, b = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"
	config := "[core]\n\tbare = false\n[remote \"other\"]\n\turl = no\n[remote \"origin\"]\n\turl = https://host/repo.git\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		from  string
		want  Git // Dir below the test's own
		ok    bool
	}{
		{"none", map[string]string{"x": ""}, ".", Git{}, false},
		{"a branch", map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": a + "\n", ".git/config": config}, "deep/er", Git{".", a, "main", "https://host/repo.git"}, true},
		{"packed", map[string]string{".git/HEAD": "ref: refs/heads/x/y\n", ".git/packed-refs": "# pack-refs\n" + b + " refs/heads/x\n" + a + " refs/heads/x/y\n"}, ".", Git{".", a, "x/y", ""}, true},
		{"detached", map[string]string{".git/HEAD": b + "\n"}, ".", Git{".", b, "", ""}, true},
		{"nothing committed", map[string]string{".git/HEAD": "ref: refs/heads/main\n"}, ".", Git{}, false},
		{"a linked tree", map[string]string{
			"repo/.git/refs/heads/l": a, "repo/.git/config": config, "repo/.git/worktrees/l/HEAD": "ref: refs/heads/l", "repo/.git/worktrees/l/commondir": "../..",
			"linked/.git": "gitdir: ../repo/.git/worktrees/l\n",
		}, "linked", Git{"linked", a, "l", "https://host/repo.git"}, true},
		{"a reference that leads out", map[string]string{".git/HEAD": "ref: ../../secret\n", "secret": a}, ".", Git{}, false},
	} {
		top := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(top, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := FindGit(filepath.Join(top, c.from))
		if !strings.HasPrefix(got.Dir, top) { // the machine's own, around the test's
			ok = false
		}
		if ok != c.ok {
			t.Errorf("%s: %+v, %v", c.name, got, ok)
			continue
		}
		c.want.Dir = filepath.Join(top, c.want.Dir)
		if ok && got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestNvidiaVersion(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "Kernel Module": "", "something 1.2": "",
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024":                    "535.183.01",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U16-I3-B03)": "570.86.15",
	} {
		if got := nvidiaVersion(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
