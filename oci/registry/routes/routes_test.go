package routes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// place makes files below a root; those named "home/..." are the user's.
func place(t *testing.T, files map[string]string, env ...string) Place {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]string{"HOME": filepath.Join(root, "home")}
	for i := 0; i+1 < len(env); i += 2 {
		values[env[i]] = strings.ReplaceAll(env[i+1], "ROOT", root)
	}
	return Place{Env: func(k string) string { return values[k] }, UID: 1000, Root: root}
}

// block is a table by which one can tell which file counted.
func block(by string) string {
	return fmt.Sprintf("[[registry]]\nprefix = \"r.example\"\nlocation = \"%s.example\"\n", by)
}

func TestWhichFileCounts(t *testing.T) {
	const user, etc, usr = "home/.config/containers/registries.conf", "etc/containers/registries.conf", "usr/share/containers/registries.conf"
	for name, tc := range map[string]struct {
		files []string
		env   []string
		uid   int
		want  string
	}{
		"none":                         {nil, nil, 1000, "r"},
		"distribution":                 {[]string{usr}, nil, 1000, usr},
		"administrator":                {[]string{usr, etc}, nil, 1000, etc},
		"user":                         {[]string{usr, etc, user}, nil, 1000, user},
		"XDG":                          {[]string{"xdg/containers/registries.conf", user}, []string{"XDG_CONFIG_HOME", "ROOT/xdg"}, 1000, "xdg/containers/registries.conf"},
		"named":                        {[]string{user, "other.conf"}, []string{"CONTAINERS_REGISTRIES_CONF", "ROOT/other.conf"}, 1000, "other.conf"},
		"named, no drop-ins":           {[]string{etc + ".d/1.conf", "other.conf"}, []string{"CONTAINERS_REGISTRIES_CONF", "ROOT/other.conf"}, 1000, "other.conf"},
		"override":                     {[]string{user, etc + ".d/1.conf", "last.conf"}, []string{"CONTAINERS_REGISTRIES_CONF_OVERRIDE", "ROOT/last.conf"}, 1000, "last.conf"},
		"drop-in over the user's":      {[]string{user, etc + ".d/1.conf"}, nil, 1000, etc + ".d/1.conf"},
		"later name":                   {[]string{etc + ".d/10.conf", usr + ".d/20.conf", user + ".d/05.conf"}, nil, 1000, usr + ".d/20.conf"},
		"same name, the user's":        {[]string{etc + ".d/10.conf", usr + ".d/10.conf", user + ".d/10.conf"}, nil, 1000, user + ".d/10.conf"},
		"another ending":               {[]string{etc, etc + ".d/20.conf~", etc + ".d/30.txt"}, nil, 1000, etc},
		"rootless":                     {[]string{etc + ".d/10.conf", "etc/containers/registries.rootless.conf.d/10.conf"}, nil, 1000, "etc/containers/registries.rootless.conf.d/10.conf"},
		"this user":                    {[]string{"etc/containers/registries.rootless.conf.d/1000/10.conf", "etc/containers/registries.rootless.conf.d/10.conf"}, nil, 1000, "etc/containers/registries.rootless.conf.d/1000/10.conf"},
		"not for root":                 {[]string{etc, "etc/containers/registries.rootless.conf.d/10.conf"}, nil, 0, etc},
		"for root":                     {[]string{etc, "etc/containers/registries.rootful.conf.d/10.conf"}, nil, 0, "etc/containers/registries.rootful.conf.d/10.conf"},
		"a directory called like one":  {[]string{etc, etc + ".d/20.conf/x"}, nil, 1000, etc},
		"a relative XDG_CONFIG_HOME":   {[]string{user, "xdg/containers/registries.conf"}, []string{"XDG_CONFIG_HOME", "xdg"}, 1000, user},
		"no home: the administrator's": {[]string{user, etc}, []string{"HOME", ""}, 1000, etc},
	} {
		files, locations := map[string]string{}, map[string]string{"r.example/a": "r"}
		for i, f := range tc.files {
			files[f] = block(fmt.Sprint("n", i))
			locations[fmt.Sprintf("n%d.example/a", i)] = f
		}
		p := place(t, files, tc.env...)
		p.UID = tc.uid
		c, err := Load(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ends, err := c.Pull("r.example/a", ":1")
		if err != nil || len(ends) != 1 || locations[ends[0].Name] != tc.want {
			t.Errorf("%s: %v, %v; want %s", name, ends, err, tc.want)
		}
	}
}

func TestFilesThatCannotBe(t *testing.T) {
	for name, text := range map[string]string{
		"no TOML":               "[[registry]\n",
		"another kind":          "registry = 5\n",
		"version 1":             "[registries.search]\nregistries = [\"docker.io\"]\n",
		"nothing":               "[[registry]]\ninsecure = true\n",
		"no location":           "[[registry]]\nprefix = \"a.example\"\n",
		"scheme":                "[[registry]]\nlocation = \"https://a.example\"\n",
		"wildcard with path":    "[[registry]]\nprefix = \"*.example.com/foo\"\n",
		"wildcard with port":    "[[registry]]\nprefix = \"*.example.com:5000\"\n",
		"wildcard in location":  "[[registry]]\nprefix = \"a.example\"\nlocation = \"*.example\"\n",
		"two wildcards":         "[[registry]]\nprefix = \"*.*.example.com\"\n",
		"mirror without place":  "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\ninsecure = true\n",
		"mirror with a tag":     "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example/x:1\"\n",
		"pull-from-mirror":      "[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"never\"\n",
		"both kinds of only":    "[[registry]]\nlocation = \"a.example\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"all\"\n",
		"pull-from-mirror self": "[[registry]]\nlocation = \"a.example\"\npull-from-mirror = \"all\"\n",
		"contradiction":         "[[registry]]\nlocation = \"a.example\"\nblocked = true\n[[registry]]\nprefix = \"b.example\"\nlocation = \"a.example\"\n",
		"dots":                  "[[registry]]\nlocation = \"a.example/../b\"\n",
		"escape":                "[[registry]]\nlocation = \"a.example/\\u001b[2J\"\n",
		"query":                 "[[registry]]\nlocation = \"a.example/a?b\"\n",
		"percent":               "[[registry]]\nlocation = \"a.example/%2e%2e\"\n",
	} {
		_, err := Load(place(t, map[string]string{"etc/containers/registries.conf": text}))
		var file *FileError
		if !errors.As(err, &file) || !strings.HasSuffix(file.File, "registries.conf") || file.Hint() == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want a FileError", name, err)
		}
	}
	if _, err := Load(place(t, nil, "CONTAINERS_REGISTRIES_CONF", "ROOT/gone.conf")); err == nil || strings.Count(err.Error(), "gone.conf") != 1 {
		t.Errorf("a named file that is not there: %v", err)
	}
	p := place(t, map[string]string{"etc/containers/registries.conf": block("a")})
	if err := os.Chmod(filepath.Join(p.Root, "etc/containers/registries.conf"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(p); err == nil {
		t.Error("an unreadable file was taken for none")
	}
}

func load(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(place(t, map[string]string{"etc/containers/registries.conf": text}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const example = `
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
location = "internal.example/bar/"
[[registry.mirror]]
location = "mirror-0.local/mirror-for-foo"
[[registry.mirror]]
location = "mirror-1.local:5000/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"
mirror-by-digest-only = true
[[registry.mirror]]
location = "mirror.registry.com"

[[registry]]
prefix = "example.com/foo/special"
location = "elsewhere.example/special"
insecure = true

[[registry]]
prefix = "*.wild.example"
[[registry.mirror]]
location = "wild.mirror"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "wild.tags"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "wild.all"
pull-from-mirror = "all"

[[registry]]
prefix = "w.wild.example"
location = "exact.example"

[[registry]]
prefix = "tagged.example/a:old"
location = "tagged.example/a:new"

[[registry]]
location = "bad.example"
blocked = true

[[registry]]
prefix = "bad.example/good"
location = "bad.example/good"
`

func TestPull(t *testing.T) {
	c := load(t, example)
	const d = "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for asked, want := range map[string]string{
		"nobody.example/a:1":            "nobody.example/a:1",
		"example.com/foo/image:latest":  "mirror-0.local/mirror-for-foo/image:latest mirror-1.local:5000/mirrors/foo/image:latest! internal.example/bar/image:latest",
		"example.com/foo:1":             "mirror-0.local/mirror-for-foo:1 mirror-1.local:5000/mirrors/foo:1! internal.example/bar:1",
		"example.com/foobar:1":          "example.com/foobar:1",
		"example.com:443/foo/a:1":       "example.com:443/foo/a:1",
		"example.com/foo/special/a:1":   "elsewhere.example/special/a:1!",
		"registry.com/a:1":              "registry.com/a:1",
		"registry.com/a" + d:            "mirror.registry.com/a" + d + " registry.com/a" + d,
		"x.wild.example/a:1":            "wild.tags/a:1 wild.all/a:1 x.wild.example/a:1",
		"x.y.wild.example:5000/a/b" + d: "wild.mirror:5000/a/b" + d + " wild.all:5000/a/b" + d + " x.y.wild.example:5000/a/b" + d,
		"w.wild.example/a:1":            "wild.tags/a:1 wild.all/a:1 w.wild.example/a:1", // as long as the wildcard
		"wild.example/a:1":              "wild.example/a:1",
		"xwild.example/a:1":             "xwild.example/a:1",
		"tagged.example/a:old":          "tagged.example/a:new",
		"tagged.example/a:older":        "tagged.example/a:older",
		"bad.example/good/a:1":          "bad.example/good/a:1",
	} {
		at := strings.LastIndex(asked, ":")
		if before, _, ok := strings.Cut(asked, "@"); ok {
			at = len(before)
		}
		ends, err := c.Pull(asked[:at], asked[at:])
		var got []string
		for i, e := range ends {
			text := e.Name + e.Suffix
			if e.Insecure {
				text += "!"
			}
			if e.Mirror != (i < len(ends)-1) {
				t.Errorf("%s: %s is a mirror: %v", asked, e.Name, e.Mirror)
			}
			got = append(got, text)
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v\nwant %s", asked, got, err, want)
		}
	}
	_, err := c.Pull("bad.example/a", ":1")
	var blocked *BlockedError
	if !errors.As(err, &blocked) || blocked.Prefix != "bad.example" || !strings.HasSuffix(blocked.File, "/registries.conf") {
		t.Errorf("blocked: %v", err)
	}
	if _, err := c.Own("bad.example/a", ":1"); !errors.As(err, &blocked) {
		t.Errorf("pushing to what is blocked: %v", err)
	}
	if e, err := c.Own("example.com/foo/special/a", ":1"); err != nil || e.Name != "example.com/foo/special/a" || !e.Insecure || e.Mirror {
		t.Errorf("pushing: %+v, %v", e, err)
	}
}

// A registry with a location that is only a part of a name.
func TestPullThatMakesNoName(t *testing.T) {
	c := load(t, "[[registry]]\nprefix = \"a.example/b\"\nlocation = \"c.example\"\n")
	if ends, err := c.Pull("a.example/b/c", ":1"); err != nil || ends[0].Name != "c.example/c" {
		t.Errorf("%v, %v", ends, err)
	}
	var file *FileError
	if ends, err := c.Pull("a.example/b", ":1"); !errors.As(err, &file) {
		t.Errorf("%v, %v", ends, err)
	}
}

func TestNotes(t *testing.T) {
	aliases := "[aliases]\n\"fedora\" = \"registry.fedoraproject.org/fedora\"\n\"debian\" = \"docker.io/library/debian\"\n\"u/x\" = \"quay.io/u/x\"\n\"gone\" = \"\"\n"
	for _, tc := range []struct {
		conf, name string
		notes      int
	}{
		{aliases, "docker.io/library/fedora", 1}, {aliases, "docker.io/library/debian", 0}, {aliases, "docker.io/u/x", 1}, {aliases, "docker.io/library/gone", 0},
		{aliases, "quay.io/library/fedora", 0}, {aliases, "docker.io/library/python", 0},
		{"unqualified-search-registries = [\"quay.io\"]\n", "docker.io/library/python", 1},
		{"unqualified-search-registries = [\"quay.io\", \"docker.io\"]\n", "docker.io/library/python", 0},
		{"unqualified-search-registries = []\n", "docker.io/library/python", 0},
		{"unqualified-search-registries = [\"quay.io\"]\n", "ghcr.io/a/python", 0},
		{"credential-helpers = [\"containers-auth.json\"]\n", "ghcr.io/a/python", 0},
		{"credential-helpers = [\"containers-auth.json\", \"secretservice\"]\n", "ghcr.io/a/python", 1},
		{"[[registry]]\nlocation = \"ghcr.io\"\nnamespace-proxy = \"http://p\"\n", "ghcr.io/a/python", 1},
		{"[[registry]]\nlocation = \"ghcr.io\"\n[[registry.mirror]]\nlocation = \"m\"\nnamespace-proxy = \"http://p\"\n", "ghcr.io/a/python", 1},
		{"[[registry]]\nlocation = \"ghcr.io\"\nnamespace-proxy = \"http://p\"\n", "quay.io/a/python", 0},
	} {
		if got := load(t, tc.conf).Notes(tc.name, ":1"); len(got) != tc.notes {
			t.Errorf("%s: %q, want %d", tc.name, got, tc.notes)
		}
	}
}

// What comes out for a name is a name again: one that a stranger chose cannot lead outside of what the file says, and the
// file cannot make a name of something else.
func FuzzPull(f *testing.F) {
	f.Add(example, "example.com/foo/image", ":latest")
	f.Add("[[registry]]\nprefix=\"a/b:c\"\nlocation=\"d/e@f\"\n", "a/b", ":c")
	f.Add("[[registry]]\nprefix=\"*.b\"\n[[registry.mirror]]\nlocation=\"c\"\n", "a.b:1/c", ":d")
	f.Fuzz(func(t *testing.T, text, name, suffix string) {
		table, err := decode(text)
		if err != nil {
			return
		}
		host, path, ok := strings.Cut(name, "/")
		if !ok || host == "" || path == "" || strings.ContainsAny(path, ":@") || len(suffix) < 2 || suffix[0] != ':' && suffix[0] != '@' || strings.ContainsAny(suffix[1:], "/:@") {
			return
		}
		var c Config
		c.add("fuzz", table)
		ends, err := c.Pull(name, suffix)
		if err != nil {
			if len(ends) != 0 {
				t.Errorf("%v beside %v", ends, err)
			}
			return
		}
		if len(ends) == 0 || ends[len(ends)-1].Mirror || slices.ContainsFunc(ends[:len(ends)-1], func(e Endpoint) bool { return !e.Mirror }) {
			t.Errorf("the last and only the last is the image's own: %v", ends)
		}
		for _, e := range ends {
			if h, p, _ := strings.Cut(e.Name, "/"); h == "" && e.File == "" || p == "" || strings.ContainsAny(p, ":@") || e.Suffix == "" || e.Suffix[0] != suffix[0] {
				t.Errorf("%q %q of %q %q", e.Name, e.Suffix, name, suffix)
			}
			if suffix[0] == '@' && e.Suffix != suffix {
				t.Errorf("another digest: %q", e.Suffix)
			}
		}
	})
}

// Mirrors of another configuration come before those of the files, and change nothing else of what the files say.
func TestAddMirrors(t *testing.T) {
	c, err := Load(place(t, map[string]string{"etc/containers/registries.conf": "[[registry]]\nprefix = \"r.example\"\nlocation = \"real.example\"\n" +
		"[[registry.mirror]]\nlocation = \"old.example\"\n[[registry]]\nprefix = \"bad.example\"\nlocation = \"bad.example\"\nblocked = true\n"}))
	if err != nil {
		t.Fatal(err)
	}
	err = c.AddMirrors(Mirror{Prefix: "r.example", Location: "one.example"}, Mirror{Prefix: "r.example", Location: "two.example:5000/r/", Insecure: true},
		Mirror{Prefix: "r.example/team", Location: "team.example"}, Mirror{Prefix: "docker.io", Location: "hub.example"}, Mirror{Prefix: "bad.example/x", Location: "x.example"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"r.example/a":              "one.example/a two.example:5000/r/a old.example/a real.example/a",
		"r.example/team/a":         "team.example/a old.example/team/a real.example/team/a",
		"docker.io/library/debian": "hub.example/library/debian docker.io/library/debian",
		"ghcr.io/a":                "ghcr.io/a",
	} {
		ends, err := c.Pull(name, ":1")
		var names []string
		for _, e := range ends {
			names = append(names, e.Name)
			if e.Insecure != strings.HasPrefix(e.Name, "two.") {
				t.Errorf("%s is insecure: %v", e.Name, e.Insecure)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	if _, err := c.Pull("bad.example/x/y", ":1"); !errors.As(err, new(*BlockedError)) {
		t.Errorf("what was blocked: %v", err)
	}
	for _, m := range []Mirror{{Prefix: "a.example", Location: "https://b.example"}, {Prefix: "*.a.*", Location: "b.example"}, {Prefix: "a.example"}} {
		if err := c.AddMirrors(m); err == nil {
			t.Errorf("%+v", m)
		}
	}
}
