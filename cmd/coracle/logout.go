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
		Action:      logoutAction,
	}
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
	switch {
	case errors.Is(err, creds.ErrNotLoggedIn):
		return p.Line("Not logged in to %s", host)
	case err != nil:
		return failing(c, err)
	}
	return p.Line("Removing login credentials for %s", host)
}
