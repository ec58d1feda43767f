package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/sys"
)

func secretFlag() cli.Flag {
	return &line.List{Name: "secret", Usage: "Give the job a secret as the file /run/secrets/NAME: `id=NAME[,src=FILE|,env=VARIABLE]`"}
}

// readSecrets comes after all that reads variables of the caller's: those that are secrets are forgotten.
func readSecrets(c *cli.Context) ([]job.Secret, error) {
	return job.ReadSecrets(line.Values(c, "secret"), job.Environ{Lookup: os.LookupEnv, Forget: sys.ForgetEnv})
}
