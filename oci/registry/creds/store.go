package creds

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Store keeps the credentials of a registry, HOST[:PORT], and returns where. A Credential with an identity token is kept as
// such, every other one as user and password.
func (p Place) Store(ctx context.Context, host string, cred Credential) (where string, err error) {
	file, err := p.target()
	if err != nil {
		return "", err
	}
	where = file
	err = edit(ctx, file, func(c config, doc *object) error {
		helper := c.helperFor(host)
		if helper == "" {
			helper = c.CredsStore
		}
		entry := map[string]string{}
		switch {
		case helper != "":
			where = program(helper)
			if err := storeIn(ctx, helper, file, host, cred); err != nil {
				return err
			}
		case cred.IdentityToken != "":
			entry["auth"], entry["identitytoken"] = base64.StdEncoding.EncodeToString([]byte(cred.Username+":")), cred.IdentityToken
		default:
			entry["auth"] = base64.StdEncoding.EncodeToString([]byte(cred.Username + ":" + cred.Password))
		}
		auths, err := doc.object("auths")
		if err != nil {
			return err
		}
		for _, old := range auths.keys() {
			if hostOf(old) == host && !strings.Contains(strings.TrimPrefix(strings.TrimPrefix(old, "https://"), "http://"), "/") {
				auths.remove(old) // another way of writing the same, which would be found first
			}
		}
		if err := auths.set(Key(host), entry); err != nil {
			return err
		}
		return doc.set("auths", auths)
	})
	return where, err
}

func storeIn(ctx context.Context, helper, file, host string, cred Credential) error {
	what := helperAnswer{ServerURL: Key(host), Username: cred.Username, Secret: cred.Password}
	if cred.IdentityToken != "" {
		what.Username, what.Secret = tokenUser, cred.IdentityToken
	}
	raw, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = ask(ctx, helper, file, "store", bytes.NewReader(raw))
	return err
}

// Erase removes the credentials of a registry from the file that Store writes to, and from its helper. The error is
// ErrNotLoggedIn when there are none; elsewhere names another file that has some.
func (p Place) Erase(ctx context.Context, host string) (elsewhere string, err error) {
	file, err := p.target()
	if err != nil {
		return "", err
	}
	removed := false
	err = edit(ctx, file, func(c config, doc *object) error {
		helper := c.helperFor(host)
		if helper == "" {
			helper = c.CredsStore
		}
		if helper != "" {
			cred, err := getFrom(ctx, helper, file, Key(host))
			if err != nil {
				return err
			}
			if !cred.IsEmpty() {
				if _, err := ask(ctx, helper, file, "erase", strings.NewReader(Key(host))); err != nil && !errors.Is(err, errUnknown) {
					return err
				}
				removed = true
			}
		}
		auths, err := doc.object("auths")
		if err != nil {
			return err
		}
		gone := false
		for _, key := range auths.keys() {
			if hostOf(key) == host {
				auths.remove(key)
				gone = true
			}
		}
		if !gone {
			return errUnchanged
		}
		removed = true
		return doc.set("auths", auths)
	})
	if err != nil {
		return "", err
	}
	if left, err := p.Find(ctx, host); err == nil && !left.IsEmpty() {
		elsewhere = left.Source
	}
	if !removed {
		return elsewhere, ErrNotLoggedIn
	}
	return elsewhere, nil
}

var errUnchanged = errors.New("nothing to write")

// edit changes a file and writes it whole, for its owner alone, with what it does not know of unchanged. Two at once wait
// for each other. A symbolic link stays one.
func edit(ctx context.Context, file string, change func(config, *object) error) (err error) {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return bare(file, err)
	}
	unlock, err := fsx.Lock(ctx, file+".lock")
	if err != nil {
		return &FileError{file, err}
	}
	defer func() { err = errors.Join(err, unlock()) }()
	raw, err := readFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c, err := parse(file, raw)
	if err != nil {
		return err
	}
	doc, err := parseObject(raw)
	if err != nil {
		return &FileError{file, err}
	}
	if err := change(c, doc); err != nil {
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	out, err := doc.indented()
	if err != nil {
		return &FileError{file, err}
	}
	if err := fsx.WriteFile(file, out, 0o600, fsx.Sync); err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	return nil
}
