package config

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
)

// both loads a site's and a user's file, which are told apart by their names, with variables; "": there is no such file.
func both(t *testing.T, site, user string, env map[string]string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := Place{Site: filepath.Join(dir, "site.toml"), User: filepath.Join(dir, "user.toml"), Owner: uint32(os.Getuid())}
	p.Env = func(name string) string { return env[name] }
	for path, text := range map[string]string{p.Site: site, p.User: user} {
		if text == "" {
			continue
		}
		if err := fsx.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(p)
}

func load(t *testing.T, site, user string, env map[string]string) *Config {
	t.Helper()
	c, err := both(t, site, user, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoCounts(t *testing.T) {
	const key = "run.network"
	network := func(word string) string { return "[run]\nnetwork = \"" + word + "\"\n" }
	for _, c := range []struct{ site, user, variable, want, where string }{
		{"", "", "", "", "built-in"},
		{"# nothing\n", "[run]\n", "", "", "built-in"},
		{network("none"), "", "", "none", "site.toml:2"},
		{network("none"), network("private"), "", "private", "user.toml:2"},
		{network("none"), network("private"), "host", "host", "CORACLE_NETWORK"},
		{"force = [\"run.network\"]\n" + network("none"), network("private"), "host", "none", "site.toml:3"},
	} {
		v := load(t, c.site, c.user, map[string]string{"CORACLE_NETWORK": c.variable}).Get(key)
		where := string(v.Origin())
		if v.Set() {
			where = filepath.Base(v.Items[0].Where())
		}
		if v.Text() != c.want || where != c.where || v.Forced != strings.HasPrefix(c.site, "force") || v.Forced != (len(v.Overrule) == 2) {
			t.Errorf("%q, %q, %q: %+v", c.site, c.user, c.variable, v)
		}
	}
}

func TestListsAdd(t *testing.T) {
	c := load(t, "[run]\nenv = [\"A=site\", \"B=site\"]\n[store]\nlayers = [\"/site\"]\n", "[run]\nenv = [\"A=user\"]\n[store]\nlayers = [\"/user\", \"~/other\"]\n", map[string]string{"HOME": "/home/ada"})
	if got := c.Get("run.env").Texts(); !slices.Equal(got, []string{"A=site", "B=site", "A=user"}) {
		t.Errorf("%q", got)
	}
	if got := c.Get("store.layers").Texts(); !slices.Equal(got, []string{"/user", "/home/ada/other"}) {
		t.Errorf("%q", got)
	}
}

// What is forced can be asked for as it is, and where it is the most, so can less.
func TestForced(t *testing.T) {
	c := load(t, "force = [\"run.memory\", \"run.cpus\", \"run.network\", \"store.layers\"]\n[run]\nmemory = \"64g\"\ncpus = 8\nnetwork = \"host\"\n[store]\nlayers = [\"/local/$UID\", \"/scratch\"]\n",
		"[run]\nmemory = \"1t\"\ncpus = 2.5\n", nil)
	if v := c.Get("run.memory"); v.Text() != "64g" || len(v.Overrule) != 1 {
		t.Errorf("%+v", v)
	}
	if v := c.Get("run.cpus"); v.Text() != "2.5" || len(v.Overrule) != 0 || v.Origin() != User {
		t.Errorf("%+v", v)
	}
	for option, allowed := range map[string]bool{
		"run.memory 32g": true, "run.memory 65536m": true, "run.memory 65g": false, "run.memory nonsense": false, "run.cpus 8": true, "run.cpus 9": false, "run.cpus -1": false,
		"run.network host": true, "run.network private": false, "store.layers /scratch": true, "store.layers /tmp": false, "run.userns root": true,
	} {
		key, given, _ := strings.Cut(option, " ")
		err := c.Choice(key, given)
		if (err == nil) != allowed || err != nil && (!errors.Is(err, ErrForced) || !strings.Contains(err.Error(), "site.toml:")) {
			t.Errorf("%s: %v", option, err)
		}
	}
}

func TestMirrors(t *testing.T) {
	c := load(t, "[[registry.mirror]]\nprefix = \"docker.io\"\nlocation = \"site:5000/hub\"\ninsecure = true\n", "[registry]\nmirror = [ { prefix = \"docker.io\", location = \"user.example\" } ]\n", nil)
	var got []string
	for _, m := range c.Mirrors() {
		got = append(got, m.String())
	}
	if !slices.Equal(got, []string{"docker.io at user.example", "docker.io at site:5000/hub (insecure)"}) {
		t.Errorf("%q", got)
	}
}

// Each mistake is told with its file and line.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"[gpu]\ndriver_rot = \"/x\"\n":            "user.toml:2: there is no key gpu.driver_rot",
		"colour = 1\n":                            "user.toml:1: there is no key colour",
		"\n[colour]\nx = 1\n":                     "user.toml:2: there is no key colour",
		"[gpu\n":                                  "user.toml:2: ",
		"[gpu]\n\ndriver_root = 3\n":              "user.toml:3: gpu.driver_root is a text, in quotes, not a number",
		"[gpu]\ndriver_root = \"opt\"\n":          "user.toml:2: gpu.driver_root: \"opt\" is no absolute path",
		"gpu = 3\n":                               "user.toml:1: gpu is a table, [gpu], not a number",
		"[[run]]\nmemory = \"1g\"\n":              "user.toml:1: run is a table, [run], not a list of tables",
		"\ufeff[run]\nmemory = 8\n":               "user.toml:2: run.memory is a text, in quotes, not a number",
		"[run]\nenv = \"A=1\"\n":                  "user.toml:2: run.env is a list of texts, [\"...\", ...], not a text",
		"[run]\nenv = [1]\n":                      "user.toml:2: run.env is a list of texts, [\"...\", ...], not a number",
		"[run]\ncpus = \"4\"\n":                   "user.toml:2: run.cpus is a number, not a text",
		"run.memory = \"much\"\n":                 "user.toml:1: run.memory: \"much\" is no size",
		"[run]\nread_only = \"yes\"\n":            "user.toml:2: run.read_only is true or false, not a text",
		"[run]\nstop_timeout = \"soon\"\n":        "user.toml:2: run.stop_timeout: \"soon\" is no time",
		"[run]\n\"network\" = \"bridged\"\n":      "user.toml:2: run.network: \"bridged\" is none of host, none, private",
		"[run]\npull = 2026-01-01\n":              "user.toml:2: run.pull is a text, in quotes, not a date or time",
		"[store]\nlayers = []\n":                  "user.toml:2: store.layers is an empty list",
		"[store]\nroot = \"$NOWHERE/x\"\n":        "user.toml:2: store.root: $NOWHERE is not set",
		"force = [\"run.env\"]\n":                 "user.toml:1: force is for the site's file",
		"[registry]\nmirror = 1\n":                "user.toml:2: registry.mirror is tables, [[registry.mirror]], not a number",
		"[[registry.mirror]]\nprefix = \"a.b\"\n": "user.toml:1: a [[registry.mirror]] needs prefix and location",
		"[[registry.mirror]]\nplace = \"a.b\"\n":  "user.toml:1: there is no key registry.mirror.place",
		"a = \"\x00\"\n":                          "user.toml:1: ",
	} {
		_, err := both(t, "", text, nil)
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"force = [\"run.nework\"]\n":              "site.toml:1: there is no key run.nework",
		"force = [\"run.memory\"]\n":              "site.toml:1: force names run.memory, which this file does not set",
		"force = \"run.memory\"\n":                "site.toml:1: force is a list of keys, not a text",
		"[run]\nmemry = \"1g\"\ncpu = 1\n":        "site.toml:2: there is no key run.memry",
		"# one\n[run]\nmemry = \"1g\"\ncpu = 1\n": "site.toml:4: there is no key run.cpu",
	} {
		if _, err := both(t, text, "", nil); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	c := load(t, "", "", map[string]string{"CORACLE_NETWORK": "bridged"})
	if bad := c.Bad(); len(bad) != 1 || bad[0].Option != "--network" || !errors.Is(bad[0].Err, ErrConfig) || !strings.Contains(bad[0].Err.Error(), "CORACLE_NETWORK: ") || c.Get("run.network").Set() {
		t.Errorf("%+v", bad)
	}
}

// A site's file that others could have written is none.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.toml")
	if err := fsx.WriteFile(path, []byte("[run]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		owner     int
		file, dir os.FileMode
		want      string
	}{
		{os.Getuid(), 0o644, 0o755, ""},
		{os.Getuid() + 1, 0o644, 0o755, "it belongs to user"},
		{os.Getuid(), 0o664, 0o755, "others may write to it"},
		{os.Getuid(), 0o646, 0o755, "others may write to it"},
		{os.Getuid(), 0o644, 0o777, "others may write to its directory"},
	} {
		if err := errors.Join(os.Chmod(path, c.file), os.Chmod(dir, c.dir)); err != nil {
			t.Fatal(err)
		}
		_, err := Load(Place{Site: path, Env: func(string) string { return "" }, Owner: uint32(c.owner)})
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrOwner) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := Load(Place{Site: dir, Env: func(string) string { return "" }, Owner: uint32(os.Getuid())}); !errors.Is(err, ErrConfig) {
		t.Errorf("a directory: %v", err)
	}
}

func TestPolicy(t *testing.T) {
	p := load(t, "[policy]\nregistries = [\"docker.io/library\", \"lab.example:5000\", \"*.lab.example/team\"]\n", "[policy]\nregistries = [\"ghcr.io\"]\n", nil).Policy()
	for ref, allowed := range map[string]bool{
		"docker.io/library/debian:12": true, "docker.io/library": true, "docker.io/libraryx/debian:12": false, "docker.io/ada/tools": false, "lab.example:5000/x@sha256:00": true,
		"lab.example/x": false, "gpu.lab.example/team/x:1": true, "gpu.lab.example:443/team:1": true, "gpu.lab.example/teams/x": false, "lab.example.evil.org/team/x": false, "ghcr.io/x": false, "": false,
	} {
		err := p.Reference(ref)
		if (err == nil) != allowed || err != nil && !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if p.Name("debian:12", false) != nil || p.Archive("oci:x") != nil {
		t.Error("it forbids what it does not speak of")
	}
	strict := load(t, "[policy]\ndigests_only = true\narchives = false\n", "", nil).Policy()
	if !errors.Is(strict.Name("debian:12", false), ErrPolicy) || strict.Name("debian@sha256:00", true) != nil || !errors.Is(strict.Archive("oci:x"), ErrPolicy) || strict.Reference("docker.io/x/y") != nil {
		t.Error("digests and archives")
	}
	if load(t, "", "", nil).Policy().Any() || !strict.Any() || !p.Any() {
		t.Error("Any")
	}
}

// The table itself: keys are unique, have a section, and their defaults can be told; a TOML text means what it was made of.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings {
		for _, name := range []string{s.Key, s.Variable} {
			if name != "" && seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if strings.Count(s.Key, ".") != 1 || s.About == "" || strings.HasSuffix(s.About, ".") || (s.Kind == Word) != (len(s.Words) > 0) || s.Most && s.List {
			t.Errorf("%+v", s)
		}
	}
	text := "[run]\nenv = [\"A=\\\"\\\\\\u0001ä\"]\nmemory = \"8g\"\ncpus = 1.5\nread_only = true\n[[registry.mirror]]\nprefix = \"a.b\"\nlocation = \"c.d\"\n"
	first := load(t, "", text, nil)
	var again strings.Builder
	for _, key := range slices.Sorted(maps.Keys(first.values)) {
		again.WriteString(key + " = " + first.Get(key).TOML() + "\n")
	}
	second := load(t, "", again.String(), nil)
	for key, v := range first.values {
		if got := second.Get(key); !slices.Equal(got.Texts(), v.Texts()) {
			t.Errorf("%s: %q, %q\n%s", key, v.Texts(), got.Texts(), again.String())
		}
	}
}

// FuzzParse: whatever a file has, it is understood or refused with its name.
func FuzzParse(f *testing.F) {
	f.Add("[run]\nenv = [\"A=1\"]\nforce = 3\n[[registry.mirror]]\nprefix = \"a\"\n")
	f.Add("force = [\"run.env\"]\nrun.env = []\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, origin := range []Origin{Site, User} {
			if _, err := parse(text, "x.toml", origin, func(string) string { return "" }); err != nil && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "x.toml")) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

func BenchmarkNoFile(b *testing.B) {
	p := Place{Site: "/nonexistent/coracle/config.toml", User: "/nonexistent/user.toml", Env: os.Getenv}
	for b.Loop() {
		if _, err := Load(p); err != nil {
			b.Fatal(err)
		}
	}
}

// Nothing waits for a pipe that somebody has put in a file's place.
func TestAPipeIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(path, User, nil, nil); !errors.Is(err, errPipe) || !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}
