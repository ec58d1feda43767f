package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

const logoutDescription = `
What 'coracle login' or 'docker login' stored is removed, from config.json or
from the credential helper it names. Without a registry it is Docker Hub.

Examples:
  coracle logout
  coracle logout registry.lab:5000

Exit codes:
  0      nothing is stored there any more
  125    it could not be removed
`

func logoutCommand() *cli.Command {
	return &cli.Command{
		Name:        "logout",
		Usage:       "Remove what login stored",
		ArgsUsage:   "[HOST[:PORT]]",
		Description: logoutDescription,
		Flags:       []cli.Flag{jsonFlag()},
		Action:      logoutAction,
	}
}

// loggedOut is what `logout --json` prints.
type loggedOut struct {
	Registry  string `json:"registry"`
	Removed   bool   `json:"removed"`             // false: there was nothing
	Elsewhere string `json:"elsewhere,omitempty"` // a file with other credentials, which stay
}

func logoutAction(c *cli.Context) error {
	host, err := registryArgument(c)
	if err != nil {
		return err
	}
	p := printer(c)
	elsewhere, err := creds.Here().Erase(c.Context, host)
	if elsewhere != "" {
		p.Warn("there are other credentials for %s in %s", host, elsewhere)
	}
	missing := errors.Is(err, creds.ErrNotLoggedIn)
	switch {
	case c.Bool("json") && (err == nil || missing):
		return p.JSON(loggedOut{Registry: host, Removed: !missing, Elsewhere: elsewhere})
	case missing:
		return p.Line("Not logged in to %s", host)
	case err != nil:
		return failing(c, err)
	}
	return p.Line("Removing login credentials for %s", host)
}
