package creds

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/coracle-run/coracle/internal/fsx"
)

// maxFile bounds a file of credentials, in bytes.
const maxFile = 4 << 20

// inline is a variable that holds what a file would: docker's, for jobs of build services. Helpers it may not name.
const inline = "DOCKER_AUTH_CONFIG"

// config is what counts of a file.
type config struct {
	Auths       map[string]auth   `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

// auth is one entry, in the forms it has had, without the methods of authn.AuthConfig: with them one entry that makes no
// sense, for a registry nobody asks for, would spoil the file.
type auth authn.AuthConfig

// ResolveContext implements authn.ContextKeychain: a registry's or a repository's credentials are those that Find finds.
func (p Place) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	registry := target.RegistryStr()
	path := strings.TrimPrefix(target.String(), registry)
	if registry == name.DefaultRegistry { // and none of docker.io's other names: what is there need not be docker.io
		registry = hub
	}
	return p.Find(ctx, registry+path)
}

// Resolve implements authn.Keychain.
func (p Place) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return p.ResolveContext(context.Background(), target)
}

// Find looks for the credentials of a repository: HOST[:PORT] and, when it matters which, /PATH. That there are none is no
// error.
func (p Place) Find(ctx context.Context, name string) (Credential, error) {
	var nobody Credential
	if text := p.Env(inline); text != "" {
		c, err := parse("$"+inline, []byte(text))
		if err != nil {
			return Credential{}, err
		}
		cred, err := p.lookup(ctx, config{Auths: c.Auths}, "$"+inline, name)
		if err != nil || !cred.IsEmpty() {
			return cred, err
		}
	}
	for _, file := range p.sources() {
		raw, err := readFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission) && file == p.shared():
			continue // root's podman has its own things there, and closes that directory to others
		case errors.Is(err, fs.ErrPermission) && file != p.Env("REGISTRY_AUTH_FILE"):
			p.note(fmt.Sprintf("credentials: %v; going on without", err)) // as docker does; sudo leaves such variables behind
			continue
		case err != nil:
			return Credential{}, err
		}
		c, err := parse(file, raw)
		if err != nil {
			return Credential{}, err
		}
		cred, err := p.lookup(ctx, c, file, name)
		if err != nil || !cred.IsEmpty() {
			return cred, err
		}
		nobody.Without = cmp.Or(nobody.Without, cred.Without)
	}
	return nobody, nil
}

// readFile reads a file of bearable size.
func readFile(file string) ([]byte, error) {
	raw, err := fsx.ReadFile(file, maxFile)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, &FileError{file, errors.New("not a file")}
	case errors.Is(err, fsx.ErrTooLarge):
		return nil, &FileError{file, errors.New("too large for a file of credentials")}
	case err != nil:
		return nil, bare(file, err)
	}
	return raw, nil
}

// bare is an error about a file that names it once.
func bare(file string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return &FileError{file, err}
}

// parse reads a file's text; one that is empty says nothing. Errors show nothing of it.
func parse(file string, raw []byte) (config, error) {
	var c config
	if len(strings.TrimSpace(string(raw))) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			return c, &FileError{file, fmt.Errorf("not JSON, at byte %d", syntax.Offset)}
		case errors.As(err, &kind) && kind.Field == "":
			return c, &FileError{file, errors.New("not a JSON object")}
		case errors.As(err, &kind):
			return c, &FileError{file, fmt.Errorf("%s is not of the kind it should be", kind.Field)}
		}
		return c, &FileError{file, errors.New("not JSON")}
	}
	return c, nil
}

// lookup finds a repository's credentials in one file.
func (p Place) lookup(ctx context.Context, c config, file, name string) (Credential, error) {
	host, _, _ := strings.Cut(name, "/")
	for key := name; key != host; key = key[:strings.LastIndexByte(key, '/')] {
		if a, ok := c.Auths[key]; ok {
			return a.decode(file, key)
		}
	}
	helper := c.CredsStore
	all := helper != ""
	if h := c.helperFor(host); h != "" {
		helper, all = h, false
	}
	var nobody Credential
	if helper != "" {
		cred, err := getFrom(ctx, helper, file, Key(host))
		if all && errors.Is(err, exec.ErrNotFound) {
			// Docker Desktop writes its helper where it later is not there. Most images are for everybody.
			nobody.Without = fmt.Sprintf("%s, which %s names for credentials, is not installed", program(helper), file)
			p.note(nobody.Without + "; going on without")
			err = nil
		}
		if err != nil || !cred.IsEmpty() {
			return cred, err
		}
	}
	for _, key := range []string{host, Key(host)} {
		if a, ok := c.Auths[key]; ok {
			return a.decode(file, key)
		}
	}
	for key, a := range c.Auths {
		if hostOf(key) == host {
			return a.decode(file, key)
		}
	}
	return nobody, nil
}

// helperFor is the helper for one host alone.
func (c config) helperFor(host string) string {
	for _, key := range []string{host, Key(host)} {
		if h := c.CredHelpers[key]; h != "" {
			return h
		}
	}
	for key, h := range c.CredHelpers {
		if hostOf(key) == host {
			return h
		}
	}
	return ""
}

func (p Place) note(text string) {
	if p.Note != nil {
		p.Note(text)
	}
}

// decode is the credential of an entry.
func (a auth) decode(file, key string) (Credential, error) {
	text := strings.TrimSpace(a.Auth)
	cred := Credential{AuthConfig: authn.AuthConfig(a), Source: file}
	if cred.Auth = ""; a.Auth == "" {
		return cred, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		raw, err = base64.RawStdEncoding.DecodeString(text)
	}
	user, password, ok := strings.Cut(string(raw), ":")
	if err != nil || !ok {
		return Credential{}, &FileError{file, fmt.Errorf("the entry for %s is not base64 of USER:PASSWORD", key)}
	}
	cred.Username, cred.Password = user, strings.TrimRight(password, "\x00") // docker once wrote these zeros
	return cred, nil
}
