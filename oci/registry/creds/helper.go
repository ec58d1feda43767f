package creds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/coracle-run/coracle/internal/fence"
)

// HelperTimeout is how long a credential helper may take. Some ask a person, or a service over the network.
const HelperTimeout = time.Minute

const (
	// tokenUser is the name that helpers keep identity tokens under.
	tokenUser = "<token>"
	maxAnswer = 1 << 20
	// unknown is what helpers say when they have nothing (docker-credential-helpers, credentials/error.go).
	unknown = "credentials not found in native keychain"
)

var errUnknown = errors.New(unknown)

// helperAnswer and what is stored have one form.
type helperAnswer struct {
	ServerURL string
	Username  string
	Secret    string
}

// getFrom asks a helper for credentials; that it has none is no error.
func getFrom(ctx context.Context, helper, file, key string) (Credential, error) {
	out, err := ask(ctx, helper, file, "get", strings.NewReader(key))
	if errors.Is(err, errUnknown) {
		return Credential{}, nil
	}
	if err != nil {
		return Credential{}, err
	}
	var answer helperAnswer
	if json.Unmarshal(out, &answer) != nil {
		return Credential{}, &HelperError{program(helper), file, errors.New("its answer is not JSON")}
	}
	config := authn.AuthConfig{Username: answer.Username, Password: answer.Secret}
	if answer.Username == tokenUser {
		config = authn.AuthConfig{IdentityToken: answer.Secret}
	}
	return Credential{AuthConfig: config, Source: program(helper) + " (" + file + ")"}, nil
}

func program(helper string) string { return "docker-credential-" + helper }

// ask runs a helper: what to do is its argument, about what its standard input.
func ask(ctx context.Context, helper, file, action string, input io.Reader) (_ []byte, err error) {
	defer func() {
		if err != nil && !errors.Is(err, errUnknown) {
			err = &HelperError{program(helper), file, err}
		}
	}()
	if strings.ContainsAny(helper, `/\`) {
		return nil, errors.New("a helper is named, and found in PATH, without a directory")
	}
	path, err := exec.LookPath(program(helper))
	if err != nil {
		return nil, fmt.Errorf("not installed: %w", exec.ErrNotFound)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helperTimeout, errTimeout)
	defer cancel()
	var stdout, stderr capped
	cmd := exec.CommandContext(ctx, path, action)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	cmd.WaitDelay = time.Second // for children of its that hold the pipes
	// It writes where it likes, and may gain privileges.
	if err = fence.Outside(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	said := strings.TrimSpace(stdout.String())
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil && stdout.over:
		return nil, errors.New("its answer is too long")
	case err == nil:
		return stdout.Bytes(), nil
	case said == unknown:
		return nil, errUnknown
	case strings.HasPrefix(said, "{"): // could be a secret
		said = ""
	}
	if more := strings.TrimSpace(stderr.String()); said == "" {
		said = more
	}
	return nil, fmt.Errorf("%w: %s", err, clip(said))
}

// helperTimeout is changed by tests alone.
var helperTimeout = HelperTimeout

var errTimeout = errors.New("it has not answered in time")

// capped keeps the beginning of what is written to it.
type capped struct {
	bytes.Buffer
	over bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	if room := maxAnswer - c.Len(); len(p) > room {
		c.over = true
		_, _ = c.Buffer.Write(p[:room])
		return len(p), nil
	}
	return c.Buffer.Write(p)
}

// clip keeps a program's complaint to a line's length or three.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
