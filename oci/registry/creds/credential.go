package creds

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Credential is who somebody is to a registry: a name and a password, an identity token (of OAuth 2, in place of a
// password), or a registry token, which is sent as it is. AuthConfig.Auth is not used. The zero value is nobody. It is an
// authn.Authenticator, and as such the only one that says where it is from.
type Credential struct {
	authn.AuthConfig
	Source  string // the file, or the helper and the file that names it
	Without string // of nobody's, in a sentence: a helper that might have known more, and is not installed
}

// Authorization implements authn.Authenticator.
func (c Credential) Authorization() (*authn.AuthConfig, error) { return &c.AuthConfig, nil }

// IsEmpty reports whether it is nobody's.
func (c Credential) IsEmpty() bool { return c.AuthConfig == authn.AuthConfig{} }

// MarshalJSON shows no secret.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// String shows no secret.
func (c Credential) String() string {
	if c.IsEmpty() {
		return "no credentials"
	}
	return fmt.Sprintf("credentials of %q from %s", c.Username, c.Source)
}

// Format shows no secret, whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// Place is where files are looked for. Here is this process's.
type Place struct {
	Env  func(string) string
	UID  int
	Note func(text string) // is told, in a sentence, what was passed over; may be nil
}

// Here is the place of this process.
func Here() Place { return Place{Env: os.Getenv, UID: os.Getuid()} }

// FileError is a file that cannot be read, written or understood.
type FileError struct {
	File string
	Err  error
}

// Error implements error.
func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap gives the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *FileError) Hint() string {
	if errors.Is(e.Err, fs.ErrPermission) {
		return "look at its owner and mode with 'ls -l': sudo leaves such files to root"
	}
	return "mend the file, or move it away and log in again"
}

// HelperError is a credential helper that failed.
type HelperError struct {
	Helper string // docker-credential-...
	File   string // that names it
	Err    error
}

// Error implements error.
func (e *HelperError) Error() string {
	return fmt.Sprintf("%s (named in %s): %v", e.Helper, e.File, e.Err)
}

// Unwrap gives the cause.
func (e *HelperError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *HelperError) Hint() string {
	return fmt.Sprintf("check %s, or take it out of %s and log in again", e.Helper, e.File)
}

// ErrNotLoggedIn means that there is nothing to remove.
var ErrNotLoggedIn = errors.New("not logged in")

// hub is docker.io, and hubKey the name docker keeps its credentials under.
const (
	hub    = "docker.io"
	hubKey = authn.DefaultAuthKey
)

// Key is the name under which docker keeps the credentials of a registry.
func Key(host string) string {
	if host == hub {
		return hubKey
	}
	return host
}

// hostOf is the registry that a key of a file means: docker has written URLs at times.
func hostOf(key string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(key, scheme); ok {
			key, _, _ = strings.Cut(rest, "/")
		}
	}
	switch strings.ToLower(key) {
	case name.DefaultRegistry, "registry-1.docker.io", "registry.hub.docker.com":
		return hub
	}
	return key
}

// sources are the files to read, in order.
func (p Place) sources() []string {
	var files []string
	if file := p.Env("REGISTRY_AUTH_FILE"); file != "" {
		files = append(files, file)
	}
	if file := p.dockerFile(); file != "" {
		files = append(files, file)
	}
	if dir := p.Env("XDG_RUNTIME_DIR"); dir != "" {
		files = append(files, dir+"/containers/auth.json")
	} else {
		files = append(files, p.shared())
	}
	if dir := p.Env("XDG_CONFIG_HOME"); dir != "" {
		files = append(files, dir+"/containers/auth.json")
	} else if home := p.Env("HOME"); home != "" {
		files = append(files, home+"/.config/containers/auth.json")
	}
	return files
}

// sharedDir is where podman keeps logins of users without a runtime directory. Tests have another.
var sharedDir = "/run/containers"

// shared is a file that nobody has named.
func (p Place) shared() string { return sharedDir + "/" + strconv.Itoa(p.UID) + "/auth.json" }

func (p Place) dockerFile() string {
	if dir := p.Env("DOCKER_CONFIG"); dir != "" {
		return dir + "/config.json"
	}
	if home := p.Env("HOME"); home != "" {
		return home + "/.docker/config.json"
	}
	return ""
}

// target is the file that is written to.
func (p Place) target() (string, error) {
	if file := p.Env("REGISTRY_AUTH_FILE"); file != "" {
		return file, nil
	}
	if file := p.dockerFile(); file != "" {
		return file, nil
	}
	return "", errors.New("no place for credentials: neither DOCKER_CONFIG nor HOME is set")
}
