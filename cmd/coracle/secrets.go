package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/proc"
	"github.com/coracle-run/coracle/internal/secret"
)

func secretFlag() cli.Flag {
	return &line.List{Name: "secret", Usage: "Give the job a secret as the file /run/secrets/NAME: `id=NAME[,src=FILE|,env=VARIABLE]`"}
}

// readSecrets comes after all that reads variables of the caller's: those that are secrets are forgotten.
func readSecrets(c *cli.Context) ([]secret.Secret, error) {
	return secret.Read(line.Values(c, "secret"), ownEnviron)
}

// ownEnviron is this process's.
var ownEnviron = secret.Environ{Lookup: os.LookupEnv, Forget: proc.ForgetEnv}

// forgetSecrets is for a process that has handed them on.
func forgetSecrets(c *cli.Context) error { return secret.Forget(line.Values(c, "secret"), ownEnviron) }
