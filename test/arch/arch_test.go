// Package arch_test holds the direction of the arrows between the tree's packages: cmd, then what ties things together below
// internal, then oci and runtime, then the leaves. The linter says the same in the editor (depguard in .golangci.yml); this
// test says it to `go test` and sees build tags and test files too.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
)

const module = "github.com/coracle-run/coracle/"

// leaves may be imported from everywhere and import nothing of the tree but each other.
var leaves = []string{"internal/host", "internal/sys", "internal/fsx", "internal/undo", "internal/trace", "internal/fence", "internal/naming", "internal/proc", "internal/socket", "internal/quantity"}

// owners lists the packages that alone may import a heavy dependency; a trailing slash means "and below".
var owners = []struct {
	dependency string
	packages   []string
}{
	{"github.com/opencontainers/runc/libcontainer", []string{"runtime/container", "runtime/initproc"}},
	{"github.com/coreos/go-systemd", []string{"runtime/cgroup"}},
	{"github.com/godbus/dbus", []string{"runtime/cgroup"}},
	{"github.com/google/go-containerregistry", []string{"oci/registry", "oci/registry/creds"}},
	{"github.com/BurntSushi/toml", []string{"oci/registry/routes", "internal/config"}},
	{"github.com/NVIDIA", []string{"runtime/gpu/nvidia", "cmd/coracle-nvidia"}},
	{"github.com/urfave/cli", []string{"cmd/"}},
	{"github.com/santhosh-tekuri/jsonschema", []string{"test/recorded"}},
	{module + "internal/ui", []string{"cmd/"}},
	{module + "cmd", []string{"cmd/"}},
}

// top is everything that may stand in the root of the tree, dot-files aside.
var top = []string{
	"cmd", "internal", "runtime", "oci", "test", "go.mod", "go.sum", "Makefile", "README.md",
	"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
}

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func (p pkg) path() string { return strings.TrimPrefix(p.ImportPath, module) }

// list reads the packages of the tree, those that do not build included, with the build tag of the real binary.
func list(t *testing.T) []pkg {
	t.Helper()
	root, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(need.Tool(t, "go"), "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "-tags", "seccomp", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// within reports whether path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func anyWithin(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool { return within(path, strings.TrimSuffix(dir, "/")) })
}

// ociKnows lists which other packages of oci one of them may import; a package that is not listed is a leaf among them.
var ociKnows = map[string][]string{
	"oci/pull":    {"oci/registry", "oci/store", "oci/unpack", "oci/inflate"},
	"oci/archive": {"oci/registry", "oci/store"},
}

// ociWay says what is wrong with an import of one package of oci by another, or "". Below a package is its own affair.
func ociWay(from, to string) string {
	short := func(path string) string {
		return strings.Join(strings.SplitN(path, "/", 3)[:min(2, strings.Count(path, "/")+1)], "/")
	}
	if f, t := short(from), short(to); f != t && !slices.Contains(ociKnows[f], t) {
		return f + " does not know " + t
	}
	return ""
}

// wrongWay says what is wrong with an import of one package of the tree by another, or "".
func wrongWay(from, to string) string {
	switch {
	case within(from, "oci") && within(to, "runtime"), within(from, "runtime") && within(to, "oci"):
		return "oci and runtime never import each other"
	case anyWithin(from, leaves) && !anyWithin(to, leaves):
		return "a leaf imports only leaves"
	case (within(from, "oci") || within(from, "runtime")) && within(to, "internal") && !anyWithin(to, leaves):
		return "of internal, oci and runtime import only the leaves"
	case within(from, "oci") && within(to, "oci"):
		return ociWay(from, to)
	case within(to, "test") || within(to, "internal/need"):
		if !within(from, "test") && !within(from, "internal/need") {
			return "only tests import what is made for tests"
		}
	}
	return ""
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range p.Imports {
			if to, ours := strings.CutPrefix(imported, module); ours {
				if why := wrongWay(p.path(), to); why != "" {
					t.Errorf("%s imports %s: %s", p.path(), to, why)
				}
			}
		}
	}
}

// TestArrowsOfTests lets tests import what is made for them, and nothing else against the arrows.
func TestArrowsOfTests(t *testing.T) {
	for _, p := range list(t) {
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			to, ours := strings.CutPrefix(imported, module)
			if !ours || to == p.path() || within(to, "test/fixture") || within(to, "internal/need") {
				continue
			}
			if why := wrongWay(p.path(), to); why != "" {
				t.Errorf("the tests of %s import %s: %s", p.path(), to, why)
			}
		}
	}
}

func TestOneImporter(t *testing.T) {
	for _, p := range list(t) {
		if within(p.path(), "test") {
			continue
		}
		for _, imported := range p.Imports {
			for _, o := range owners {
				if within(imported, o.dependency) && !isOwner(p.path(), o.packages) {
					t.Errorf("%s imports %s, which only %s may", p.path(), imported, strings.Join(o.packages, ", "))
				}
			}
		}
	}
}

func isOwner(path string, packages []string) bool {
	return slices.ContainsFunc(packages, func(owner string) bool {
		dir, below := strings.CutSuffix(owner, "/")
		return path == dir || below && within(path, dir)
	})
}

func TestTopLevel(t *testing.T) {
	root, err := need.Top()
	if err != nil {
		t.Fatal(err)
	}
	git := exec.Command(need.Tool(t, "git"), "ls-files", "-z")
	git.Dir = root
	out, err := git.Output()
	if err != nil {
		need.Missing(t, "checkout", "the tree is not a git checkout")
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		first, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		if !strings.HasPrefix(first, ".") && !slices.Contains(top, first) {
			t.Errorf("%s: the top level holds only %s and dot-files", name, strings.Join(top, " "))
		}
	}
}

func TestWrongWay(t *testing.T) {
	for _, tc := range []struct {
		from, to string
		wrong    bool
	}{
		{"cmd/coracle", "internal/job", false},
		{"internal/job", "oci/pull", false},
		{"internal/job", "runtime/container", false},
		{"oci/pull", "oci/store", false},
		{"oci/archive", "oci/registry", false},
		{"oci/archive", "oci/pull", true},
		{"oci/store", "oci/registry", true},
		{"oci/registry", "oci/registry/creds", false},
		{"oci/unpack", "oci/inflate", true},
		{"oci/pull", "internal/fsx", false},
		{"oci/pull", "runtime/spec", true},
		{"runtime/spec", "oci/store", true},
		{"oci/pull", "internal/job", true},
		{"runtime/rootfs", "internal/record", true},
		{"internal/fsx", "oci/store", true},
		{"internal/fsx", "internal/sys", false},
		{"runtime/container", "internal/proc", false},
		{"runtime/container", "internal/process", true},
		{"internal/proc", "internal/process", true},
		{"internal/host", "internal/record", true},
		{"oci/unpack", "internal/need", true},
		{"internal/job", "test/fixture", true},
		{"test/demo", "test/fixture", false},
	} {
		if got := wrongWay(tc.from, tc.to) != ""; got != tc.wrong {
			t.Errorf("%s -> %s: wrong way %v, want %v", tc.from, tc.to, got, tc.wrong)
		}
	}
}
