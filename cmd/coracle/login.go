package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/registry/creds"
)

const loginDescription = `
The registry is asked whether it takes the password before it is stored. Without
a registry it is Docker Hub. The password is asked for on a terminal, or read
from standard input with --password-stdin.

It is stored where docker looks for it: in config.json in $DOCKER_CONFIG or
~/.docker, by the credential helper that file names, or in $REGISTRY_AUTH_FILE
if that is set. Docker and podman find it there, and Coracle finds theirs.

Examples:
  coracle login
  coracle login ghcr.io
  coracle login -u me --password-stdin registry.lab:5000 <token.txt

Exit codes:
  0      the registry takes the password, and it is stored
  125    the registry refuses it, or it cannot be stored
  130    interrupted; nothing is stored
`

func loginCommand() *cli.Command {
	return &cli.Command{
		Name:        "login",
		Usage:       "Log in to a registry",
		ArgsUsage:   "[HOST[:PORT]]",
		Description: loginDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "username", Aliases: []string{"u"}, Usage: "Who you are to the registry, `NAME`"},
			&cli.StringFlag{Name: "password", Aliases: []string{"p"}, Hidden: true},
			&cli.BoolFlag{Name: "password-stdin", Usage: "Read the password from standard input"},
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for this registry"},
			jsonFlag(),
		},
		Action: loginAction,
	}
}

func loginAction(c *cli.Context) error {
	host, err := registryArgument(c)
	if err != nil {
		return err
	}
	if c.IsSet("password") {
		return usagef("login", "a password on the command line is seen by everybody on this machine (ps) and kept in the shell's history; use --password-stdin")
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	cred, err := askCredential(ctx, c, host)
	if err == nil {
		err = logIn(ctx, c, host, cred)
	}
	return cmp.Or(failing(c, interrupted(ctx)), failing(c, err))
}

// registryArgument is the registry that login and logout are about.
func registryArgument(c *cli.Context) (string, error) {
	if err := atMost(c, 1); err != nil {
		return "", err
	}
	host, err := registry.ParseHost(c.Args().First())
	return host, failing(c, err)
}

// loggedIn is what `login --json` prints.
type loggedIn struct {
	Registry string `json:"registry"`
	Username string `json:"username"`
	Verified bool   `json:"verified"` // the registry has looked at the password
	Stored   string `json:"stored"`   // the file, or the credential helper
}

// logIn verifies a credential and stores it.
func logIn(ctx context.Context, c *cli.Context, host string, cred creds.Credential) error {
	p := printer(c)
	asked, err := client(c, func(text string) { p.Note("%s", text) }).Login(ctx, host, cred)
	if err != nil {
		return err
	}
	if !asked {
		p.Warn("%s lets everybody in and has not looked at the password", host)
	}
	where, err := creds.Here().Store(ctx, host, cred)
	if err != nil {
		return err
	}
	if filepath.IsAbs(where) {
		p.Note("The password is in %s, for you alone, not encrypted; a credential helper (credsStore) keeps it better", where)
	}
	if c.Bool("json") {
		return p.JSON(loggedIn{Registry: host, Username: cred.Username, Verified: asked, Stored: where})
	}
	return p.Line("Login Succeeded")
}

// askCredential finds out who the user is.
func askCredential(ctx context.Context, c *cli.Context, host string) (creds.Credential, error) {
	var cred creds.Credential
	var err error
	cred.Username = c.String("username")
	if c.Bool("password-stdin") {
		if cred.Username == "" {
			return cred, usagef("login", "--password-stdin needs --username, because standard input is the password")
		}
		cred.Password, err = readPassword(c.App.Reader)
		return cred, err
	}
	p := printer(c)
	if !ui.IsTerminal(c.App.Reader) {
		return cred, usagef("login", "there is no terminal to ask for the password on; use --password-stdin")
	}
	if cred.Username == "" {
		if cred.Username, err = p.AskLine(ctx, c.App.Reader, fmt.Sprintf("Username for %s: ", host)); err != nil {
			return cred, err
		}
		if cred.Username = strings.TrimSpace(cred.Username); cred.Username == "" {
			return cred, errors.New("no user name was given")
		}
	}
	if cred.Password, err = p.AskSecret(ctx, c.App.Reader, fmt.Sprintf("Password for %s at %s: ", cred.Username, host)); err != nil {
		return cred, err
	}
	if cred.Password == "" {
		return cred, errors.New("no password was given")
	}
	return cred, nil
}

// readPassword reads all of a pipe or file, without the end of its last line: keys of some registries have several lines.
func readPassword(r io.Reader) (string, error) {
	const most = 1 << 20
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")
	switch {
	case len(raw) > most:
		return "", errors.New("standard input is too long for a password")
	case text == "":
		return "", errors.New("standard input holds no password")
	}
	return text, nil
}
