package creds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/coracle-run/coracle/internal/need"
)

// home is a place of its own with files in it: docker/config.json is $DOCKER_CONFIG's, run/ $XDG_RUNTIME_DIR, xdg/
// $XDG_CONFIG_HOME, home/ $HOME.
func home(t *testing.T, files map[string]string, unset ...string) (Place, string) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{
		"DOCKER_CONFIG": root + "/docker", "XDG_RUNTIME_DIR": root + "/run", "XDG_CONFIG_HOME": root + "/xdg", "HOME": root + "/home",
		"REGISTRY_AUTH_FILE": root + "/named.json",
	}
	for _, name := range append(unset, "") {
		delete(env, name)
	}
	if _, ok := files["named.json"]; !ok {
		delete(env, "REGISTRY_AUTH_FILE")
	}
	return Place{Env: func(k string) string { return env[k] }, UID: 4711}, root
}

// entries is a file with one user for each key, called as the value.
func entries(pairs ...string) string {
	auths := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		auths[pairs[i]] = map[string]any{"username": pairs[i+1], "password": "p-" + pairs[i+1]}
	}
	raw, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func find(t *testing.T, p Place, name string) Credential {
	t.Helper()
	cred, err := p.Find(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cred
}

// Each file is read, and the first in the order of the package's documentation that knows the registry counts.
func TestOrderOfFiles(t *testing.T) {
	order := []string{"named.json", "docker/config.json", "run/containers/auth.json", "xdg/containers/auth.json"}
	for i := range order {
		files := map[string]string{}
		for _, name := range order[i:] {
			files[name] = entries("r.example", name)
		}
		p, root := home(t, files)
		if got := find(t, p, "r.example/a"); got.Username != order[i] || got.Source != root+"/"+order[i] {
			t.Errorf("%v: %s", order[i:], got)
		}
		// What it does not know comes from the next.
		if i+1 < len(order) {
			files[order[i]] = entries("other.example", "x")
			p, _ := home(t, files)
			if got := find(t, p, "r.example/a"); got.Username != order[i+1] {
				t.Errorf("%s without the registry: %s", order[i], got)
			}
		}
	}
	p, _ := home(t, map[string]string{"home/.docker/config.json": entries("r.example", "docker")}, "DOCKER_CONFIG")
	if got := find(t, p, "r.example/a"); got.Username != "docker" {
		t.Errorf("~/.docker: %s", got)
	}
	p, _ = home(t, map[string]string{"home/.config/containers/auth.json": entries("r.example", "podman")}, "XDG_CONFIG_HOME")
	if got := find(t, p, "r.example/a"); got.Username != "podman" {
		t.Errorf("~/.config: %s", got)
	}
	p, _ = home(t, nil, "XDG_RUNTIME_DIR")
	if got := p.sources(); !strings.Contains(strings.Join(got, " "), "/run/containers/4711/auth.json") {
		t.Errorf("without XDG_RUNTIME_DIR: %v", got)
	}
	if got := find(t, Place{Env: func(string) string { return "" }}, "r.example/a"); !got.IsEmpty() {
		t.Errorf("nowhere: %s", got)
	}
}

// What is in the environment goes before every file, names no helpers, and is not shown when it makes no sense.
func TestInline(t *testing.T) {
	p, _ := home(t, map[string]string{"named.json": entries("r.example", "file", "other.example", "file")})
	env := p.Env
	with := func(text string) Place {
		return Place{Env: func(k string) string {
			if k == "DOCKER_AUTH_CONFIG" {
				return text
			}
			return env(k)
		}}
	}
	inlined := with(entries("r.example", "inline"))
	if got := find(t, inlined, "r.example/a"); got.Username != "inline" || got.Source != "$DOCKER_AUTH_CONFIG" {
		t.Errorf("%s", got)
	}
	if got := find(t, inlined, "other.example/a"); got.Username != "file" {
		t.Errorf("%s", got)
	}
	if got := find(t, with(`{"credsStore":"not-there","credHelpers":{"r.example":"not-there"}}`), "r.example/a"); got.Username != "file" {
		t.Errorf("%s", got)
	}
	if _, err := with(`{"auths":{"r.example":{"auth":"aHVzaA`).Find(t.Context(), "r.example"); err == nil || strings.Contains(err.Error(), "aHVzaA") {
		t.Errorf("%v", err)
	}
}

func TestMostSpecificEntry(t *testing.T) {
	p, _ := home(t, map[string]string{"docker/config.json": entries("r.example", "host", "r.example/team", "team", "r.example/team/app", "app", "r.example:5000", "port",
		"https://old.example/v1/", "old", "http://older.example", "older")})
	for name, want := range map[string]string{
		"r.example": "host", "r.example/a": "host", "r.example/team": "team", "r.example/team/b": "team", "r.example/team/app": "app", "r.example/team/app/x": "app",
		"r.example/teams": "host", "r.example:5000/team": "port", "r.example:5001/team": "", "old.example/a/b": "old", "older.example/a": "older", "xr.example": "",
		"example/r.example": "",
	} {
		if got := find(t, p, name); got.Username != want {
			t.Errorf("%s: %q, want %q", name, got.Username, want)
		}
	}
}

func TestNamesOfDockerHub(t *testing.T) {
	for _, key := range []string{"https://index.docker.io/v1/", "docker.io", "index.docker.io", "https://index.docker.io/v2/", "registry-1.docker.io", "https://docker.io"} {
		p, _ := home(t, map[string]string{"docker/config.json": entries(key, "me")})
		if got := find(t, p, "docker.io/library/debian"); got.Username != "me" {
			t.Errorf("%s: %s", key, got)
		}
		if got := find(t, p, "quay.io/library/debian"); !got.IsEmpty() {
			t.Errorf("%s is quay.io's: %s", key, got)
		}
	}
}

func TestFormsOfEntries(t *testing.T) {
	for text, want := range map[string]authn.AuthConfig{
		`{"auth":"bWU6c2VjcmV0"}`:                        {Username: "me", Password: "secret"},
		`{"auth":"bWU6c2U6Y3JldA=="}`:                    {Username: "me", Password: "se:cret"},
		`{"auth":"bWU6c2U6Y3JldA"}`:                      {Username: "me", Password: "se:cret"}, // without padding
		`{"auth":"bWU6cw==","identitytoken":"i"}`:        {Username: "me", Password: "s", IdentityToken: "i"},
		`{"identitytoken":"i","username":"u"}`:           {Username: "u", IdentityToken: "i"},
		`{"registrytoken":"r"}`:                          {RegistryToken: "r"},
		`{"username":"u","password":"p","email":"e@x"}`:  {Username: "u", Password: "p"},
		`{"auth":"bWU6c2VjcmV0AAA=","unknown":{"a":[]}}`: {Username: "me", Password: "secret"},
	} {
		p, _ := home(t, map[string]string{"docker/config.json": `{"auths":{"r.example":` + text + `}}`})
		got := find(t, p, "r.example/a")
		if got.AuthConfig != want {
			t.Errorf("%s: %#v", text, got)
		}
	}
	// An entry that says nothing, as docker leaves one beside a helper, lets the next file speak.
	p, _ := home(t, map[string]string{"docker/config.json": `{"auths":{"r.example":{}}}`, "xdg/containers/auth.json": entries("r.example", "podman")})
	if got := find(t, p, "r.example/a"); got.Username != "podman" {
		t.Errorf("behind an empty entry: %s", got)
	}
}

func TestFilesThatMakeNoSense(t *testing.T) {
	const secret = "c2VjcmV0LXNlY3JldA"
	for name, text := range map[string]string{
		"cut":        `{"auths":{"r.example":{"auth":"` + secret,
		"array":      `["` + secret + `"]`,
		"kind":       `{"auths":"` + secret + `"}`,
		"kind below": `{"auths":{"r.example":{"auth":["` + secret + `"]}}}`,
		"base64":     `{"auths":{"r.example":{"auth":"%` + secret + `"}}}`,
		"no colon":   `{"auths":{"r.example":{"auth":"` + secret + `"}}}`,
		"huge":       `{"auths":{}}` + strings.Repeat(" ", maxFile),
	} {
		p, root := home(t, map[string]string{"docker/config.json": text})
		_, err := p.Find(t.Context(), "r.example/a")
		var file *FileError
		if !errors.As(err, &file) || file.File != root+"/docker/config.json" || strings.Contains(err.Error(), secret) || strings.Count(err.Error(), root) != 1 {
			t.Errorf("%s: %v, want a FileError without the secret", name, err)
		}
	}
	p, _ := home(t, map[string]string{"docker/config.json/x": ""})
	if _, err := p.Find(t.Context(), "r.example/a"); err == nil {
		t.Error("a directory is a file")
	}
	p, _ = home(t, map[string]string{"docker/config.json": " \n"})
	if got := find(t, p, "r.example/a"); !got.IsEmpty() {
		t.Errorf("an empty file: %s", got)
	}
}

// A file that is somebody else's, as sudo leads to, stops nobody; one that was named does.
func TestUnreadableFiles(t *testing.T) {
	p, root := home(t, map[string]string{"docker/config.json": "{}", "run/containers/auth.json": "{}", "xdg/containers/auth.json": entries("r.example", "me")})
	for _, file := range []string{"docker/config.json", "run/containers"} {
		if err := os.Chmod(filepath.Join(root, file), 0); err != nil {
			t.Fatal(err)
		}
	}
	locked := filepath.Join(root, "run/containers")
	t.Cleanup(func() { _ = os.Chmod(locked, 0o700) })
	var notes []string
	p.Note = func(text string) { notes = append(notes, text) }
	if got := find(t, p, "r.example/a"); got.Username != "me" || len(notes) != 2 || !strings.Contains(notes[0], "docker/config.json") {
		t.Errorf("%s, said %q", got, notes)
	}
	p, root = home(t, map[string]string{"named.json": "{}"})
	if err := os.Chmod(root+"/named.json", 0); err != nil {
		t.Fatal(err)
	}
	var file *FileError
	if _, err := p.Find(t.Context(), "r.example/a"); !errors.As(err, &file) {
		t.Errorf("%v", err)
	}
}

func TestNothingShowsSecrets(t *testing.T) {
	c := Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "hush-1", IdentityToken: "hush-2", RegistryToken: "hush-3"}, Source: "file"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(format, c); strings.Contains(got, "hush") || strings.Contains(got, fmt.Sprintf("%x", "hush")) {
			t.Errorf("%s: %s", format, got)
		}
	}
	if raw, err := json.Marshal([]any{c, &c}); err != nil || strings.Contains(string(raw), "hush") {
		t.Errorf("JSON: %s, %v", raw, err)
	}
}

// Programs that know go-containerregistry's names for things find the same: docker.io is index.docker.io to them.
func TestPlaceIsAKeychain(t *testing.T) {
	p, _ := home(t, map[string]string{"docker/config.json": entries("https://index.docker.io/v1/", "hub", "r.example:5000", "all", "r.example:5000/team", "team")})
	for text, want := range map[string]string{
		"debian": "hub", "docker.io/library/debian": "hub", "r.example:5000/a": "all", "r.example:5000/team/a:1": "team", "other.example/a": "",
	} {
		ref, err := name.ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		who, err := authn.Resolve(t.Context(), p, ref.Context())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, err := authn.Authorization(t.Context(), who); err != nil || got.Username != want {
			t.Errorf("%s: %q, %v; want %q", text, got.Username, err, want)
		}
	}
	registry, err := name.NewRegistry("docker.io")
	if err != nil {
		t.Fatal(err)
	}
	who, err := p.Resolve(registry)
	if cred, ok := who.(Credential); err != nil || !ok || cred.Username != "hub" {
		t.Errorf("a registry: %v, %v", who, err)
	}
	p, _ = home(t, map[string]string{"docker/config.json": "{"})
	if _, err := p.Resolve(registry); err == nil {
		t.Error("a file that is no JSON has no credentials, and nothing is said")
	}
}

// helper installs a credential helper that is a shell script; what it is asked goes to the file returned.
func helper(t *testing.T, name, script string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	text := "#!/bin/sh\ninput=$(cat)\nprintf '%s %s\\n' \"$1\" \"$input\" >>" + log + "\n" + script + "\n"
	need.Program(t, filepath.Join(dir, "docker-credential-"+name), text)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func said(t *testing.T, log string) string {
	t.Helper()
	raw, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(raw)
}

const answers = `echo '{"ServerURL":"x","Username":"helped","Secret":"s"}'`

func TestHelpers(t *testing.T) {
	log := helper(t, "one", answers)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"identity"}'`)
	helper(t, "none", `echo "credentials not found in native keychain"; exit 1`)
	conf := `{"auths":{"r.example/team":{"auth":"dGVhbTpw"},"none.example":{"auth":"ZmlsZTpw"}},` +
		`"credHelpers":{"r.example":"one","token.example":"token","none.example":"none","https://index.docker.io/v1/":"one"}}`
	p, root := home(t, map[string]string{"docker/config.json": conf})
	for name, want := range map[string]authn.AuthConfig{
		"r.example/a":           {Username: "helped", Password: "s"},
		"r.example/team/a":      {Username: "team", Password: "p"}, // more specific
		"token.example/a":       {IdentityToken: "identity"},
		"none.example/a":        {Username: "file", Password: "p"},
		"docker.io/library/a":   {Username: "helped", Password: "s"},
		"elsewhere.example/a/b": {},
	} {
		got := find(t, p, name)
		if strings.Contains(name, "docker.io") && got.Source != "docker-credential-one ("+root+"/docker/config.json)" {
			t.Errorf("%s is from %s", name, got.Source)
		}
		if got.AuthConfig != want {
			t.Errorf("%s: %#v", name, got)
		}
	}
	if got := said(t, log); !strings.Contains(got, "get r.example\n") || !strings.Contains(got, "get https://index.docker.io/v1/\n") {
		t.Errorf("asked:\n%s", got)
	}
	p, _ = home(t, map[string]string{"docker/config.json": `{"credsStore":"one","credHelpers":{"none.example":"none"}}`})
	if got := find(t, p, "any.example/a"); got.Username != "helped" {
		t.Errorf("credsStore: %s", got)
	}
	if got := find(t, p, "none.example/a"); !got.IsEmpty() {
		t.Errorf("its own helper goes before credsStore: %s", got)
	}
}

func TestHelpersThatFail(t *testing.T) {
	t.Cleanup(func() { helperTimeout = HelperTimeout })
	helper(t, "hangs", "sleep 120")
	helper(t, "leaves", "sleep 120 & exit 1")
	helper(t, "complains", "echo the keychain is locked >&2; exit 3")
	helper(t, "complains-out", "echo the keychain is locked; exit 3")
	helper(t, "babbles", `echo '{"Secret":"hush"'`)
	helper(t, "fails-secret", `echo '{"Secret":"hush"}'; exit 1`)
	helper(t, "endless", "exec yes hush")
	for name, want := range map[string]string{
		"hangs": "not answered in time", "leaves": "", "complains": "the keychain is locked", "complains-out": "the keychain is locked", "babbles": "not JSON",
		"fails-secret": "exit status 1", "endless": "in time", "not-there": "not installed", "../evil": "without a directory",
	} {
		p, _ := home(t, map[string]string{"docker/config.json": `{"credHelpers":{"r.example":"` + name + `"}}`})
		helperTimeout = HelperTimeout
		if strings.Contains(want, "in time") {
			helperTimeout = 300 * time.Millisecond
		}
		start := time.Now()
		_, err := p.Find(t.Context(), "r.example/a")
		var failed *HelperError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if took := time.Since(start); took > 100*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	// The helper for everything, which Docker Desktop leaves behind, does not keep anybody from images for everybody.
	p, _ := home(t, map[string]string{"docker/config.json": `{"credsStore":"not-there"}`})
	var notes []string
	p.Note = func(text string) { notes = append(notes, text) }
	if got := find(t, p, "r.example/a"); !got.IsEmpty() || len(notes) != 1 || !strings.Contains(notes[0], "docker-credential-not-there") {
		t.Errorf("%s, said %q", got, notes)
	}
}

// value is JSON as it means, with numbers as they are written.
func value(t *testing.T, raw []byte) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

func TestStoreKeepsEverythingElse(t *testing.T) {
	const before = `{"auths":{"quay.io":{"auth":"b3RoZXI6cA==","email":"a@b","x":1e400}},"psFormat":"table <{{.ID}}>\u2028","big":12345678901234567890123,"plugins":{"a":{"b":[null,true,1.0]}},"HttpHeaders":{"k":"v"}}`
	p, root := home(t, map[string]string{"docker/config.json": before})
	file := root + "/docker/config.json"
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	where, err := p.Store(t.Context(), "r.example:5000", Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "s:ecret"}})
	if err != nil || where != file {
		t.Fatalf("%s, %v", where, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := value(t, []byte(before)).(map[string]any)
	auths, _ := want["auths"].(map[string]any)
	auths["r.example:5000"] = map[string]any{"auth": "bWU6czplY3JldA=="}
	if got := value(t, raw); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("%s", raw)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := find(t, p, "r.example:5000/a"); got.Username != "me" || got.Password != "s:ecret" {
		t.Errorf("found %s", got)
	}
	if entries, err := os.ReadDir(root + "/docker"); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if elsewhere, err := p.Erase(t.Context(), "r.example:5000"); err != nil || elsewhere != "" {
		t.Errorf("erasing: %q, %v", elsewhere, err)
	}
	raw, err = os.ReadFile(file)
	if got := value(t, raw); err != nil || !reflect.DeepEqual(got, value(t, []byte(before))) {
		t.Errorf("after erasing: %s", raw)
	}
	if _, err := p.Erase(t.Context(), "r.example:5000"); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("erasing again: %v", err)
	}
}

func TestStoreMakesTheFile(t *testing.T) {
	p, root := home(t, nil)
	if _, err := p.Store(t.Context(), "docker.io", Credential{AuthConfig: authn.AuthConfig{Username: "me", IdentityToken: "i"}}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(root + "/docker/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"bWU6\",\n\t\t\t\"identitytoken\": \"i\"\n\t\t}\n\t}\n}\n"; string(raw) != want {
		t.Errorf("%s", raw)
	}
	if info, err := os.Stat(root + "/docker"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := find(t, p, "docker.io/library/a"); got.IdentityToken != "i" {
		t.Errorf("found %s", got)
	}
}

// Other spellings of the same registry go, entries for parts of it stay.
func TestStoreReplacesOtherSpellings(t *testing.T) {
	p, root := home(t, map[string]string{"docker/config.json": entries("docker.io", "a", "https://index.docker.io/v1/", "b", "docker.io/team", "c")})
	if _, err := p.Store(t.Context(), "docker.io", Credential{AuthConfig: authn.AuthConfig{Username: "new", Password: "p"}}); err != nil {
		t.Fatal(err)
	}
	if got := find(t, p, "docker.io/library/a"); got.Username != "new" {
		t.Errorf("found %s", got)
	}
	if got := find(t, p, "docker.io/team/a"); got.Username != "c" {
		t.Errorf("found %s", got)
	}
	if raw, err := os.ReadFile(root + "/docker/config.json"); err != nil || strings.Count(string(raw), "docker.io") != 2 {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestStoreThroughAHelper(t *testing.T) {
	log := helper(t, "safe", `[ "$1" = get ] && echo '{"Username":"helped","Secret":"s"}' || exit 0`)
	for _, conf := range []string{`{"credsStore":"safe"}`, `{"credHelpers":{"r.example":"safe"}}`} {
		p, root := home(t, map[string]string{"docker/config.json": conf})
		where, err := p.Store(t.Context(), "r.example", Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "hush"}})
		if err != nil || where != "docker-credential-safe" {
			t.Errorf("%s: %s, %v", conf, where, err)
		}
		raw, err := os.ReadFile(root + "/docker/config.json")
		if err != nil || strings.Contains(string(raw), "hush") || strings.Contains(string(raw), `"auth"`) || !strings.Contains(string(raw), "r.example") {
			t.Errorf("%s: %s, %v", conf, raw, err)
		}
		if _, err := p.Erase(t.Context(), "r.example"); err != nil {
			t.Errorf("%s: %v", conf, err)
		}
	}
	for _, want := range []string{`store {"ServerURL":"r.example","Username":"me","Secret":"hush"}`, "erase r.example"} {
		if got := said(t, log); strings.Count(got, want+"\n") != 2 {
			t.Errorf("%q is not twice in:\n%s", want, got)
		}
	}
	helper(t, "locked", "echo locked; exit 1")
	p, root := home(t, map[string]string{"docker/config.json": `{"credsStore":"locked"}`})
	if _, err := p.Store(t.Context(), "r.example", Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "hush"}}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("a locked helper: %v", err)
	}
	if raw, err := os.ReadFile(root + "/docker/config.json"); err != nil || string(raw) != `{"credsStore":"locked"}` {
		t.Errorf("after that: %s, %v", raw, err)
	}
}

func TestStoreFollowsALink(t *testing.T) {
	p, root := home(t, map[string]string{"dotfiles/docker.json": `{"x":1}`, "docker/other": ""})
	if err := os.Symlink("../dotfiles/docker.json", root+"/docker/config.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Store(t.Context(), "r.example", Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "p"}}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(root + "/docker/config.json"); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if raw, err := os.ReadFile(root + "/dotfiles/docker.json"); err != nil || !strings.Contains(string(raw), "r.example") || !strings.Contains(string(raw), `"x": 1`) {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestManyStoreAtOnce(t *testing.T) {
	p, _ := home(t, nil)
	var all sync.WaitGroup
	const n = 12
	for i := range n {
		all.Go(func() {
			if _, err := p.Store(context.Background(), "r"+strconv.Itoa(i)+".example", Credential{AuthConfig: authn.AuthConfig{Username: "u", Password: "p"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range n {
		if got := find(t, p, "r"+strconv.Itoa(i)+".example"); got.IsEmpty() {
			t.Errorf("number %d was lost", i)
		}
	}
}

func TestEraseNamesWhatIsLeft(t *testing.T) {
	p, root := home(t, map[string]string{"docker/config.json": entries("r.example", "a"), "run/containers/auth.json": entries("r.example", "b")})
	if elsewhere, err := p.Erase(t.Context(), "r.example"); err != nil || elsewhere != root+"/run/containers/auth.json" {
		t.Errorf("%q, %v", elsewhere, err)
	}
	if elsewhere, err := p.Erase(t.Context(), "r.example"); !errors.Is(err, ErrNotLoggedIn) || elsewhere == "" {
		t.Errorf("%q, %v", elsewhere, err)
	}
}

func TestAuthFileIsWrittenWhenNamed(t *testing.T) {
	p, root := home(t, map[string]string{"named.json": "{}"})
	if where, err := p.Store(t.Context(), "r.example", Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: "p"}}); err != nil || where != root+"/named.json" {
		t.Errorf("%s, %v", where, err)
	}
}

// Whatever the file, storing keeps what it does not know of, and what is stored is found.
func FuzzStore(f *testing.F) {
	f.Add(`{"auths":{"quay.io":{"auth":"YTpi"}},"x":[1,2,{"y":null}]}`, "r.example", "me", "secret")
	f.Add(`{"auths":null,"auths":{},"credsStore":""}`, "docker.io", "a", "b")
	f.Add(``, "r.example:5000", "a", ":")
	f.Fuzz(func(t *testing.T, text, host, user, password string) {
		if strings.Contains(text, "cred") || strings.Contains(text, "Cred") || strings.Contains(text, "CRED") || strings.Contains(text, `\u`) || host == "" || strings.ContainsAny(host, "/\x00") || host != strings.ToValidUTF8(host, "") ||
			user == "" || strings.Contains(user, ":") || strings.HasSuffix(password, "\x00") || password == "" || hostOf(host) != host {
			return // no name or no secret that could be stored
		}
		p, root := home(t, map[string]string{"docker/config.json": text})
		var before map[string]any
		valid := len(strings.TrimSpace(text)) == 0 || json.Unmarshal([]byte(text), &before) == nil
		if _, err := p.Store(t.Context(), host, Credential{AuthConfig: authn.AuthConfig{Username: user, Password: password}}); err != nil {
			raw, _ := os.ReadFile(root + "/docker/config.json")
			if string(raw) != text {
				t.Errorf("%v, and the file has changed", err)
			}
			return
		}
		raw, err := os.ReadFile(root + "/docker/config.json")
		if err != nil || !valid {
			t.Fatalf("stored in %q: %v", text, err)
		}
		var after map[string]any
		if err := json.Unmarshal(raw, &after); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		for name, v := range before {
			if name != "auths" && !reflect.DeepEqual(after[name], v) {
				t.Errorf("%q was %v and is %v", name, v, after[name])
			}
		}
		if got, err := p.Find(t.Context(), host); err != nil || got.Username != user || got.Password != password {
			t.Errorf("found %q %q, %v in %s", got.Username, got.Password, err, raw)
		}
	})
}
