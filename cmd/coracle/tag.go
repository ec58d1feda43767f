package main

import (
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
)

const tagDescription = `
Both names mean the image from then on. A name that meant another image before
is taken from it; that one can still be had by its id.

Examples:
  coracle tag python:3.13-slim registry.lab:5000/base/python:3.13
  coracle tag 4f1c0e7a9d2b train:baseline
  coracle tag --json python:3.13-slim base:1 | jq -r .digest

Exit codes:
  0      the image has the name
  125    it has not: no such image, or no such name
`

func tagCommand() *cli.Command {
	return &cli.Command{
		Name:        "tag",
		Usage:       "Give an image another name",
		ArgsUsage:   "IMAGE NAME[:TAG]",
		Description: tagDescription,
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() == 1 {
				return usagef("tag", "the new name is missing")
			}
			if err := needArguments(c, "the name of an image", 2); err != nil {
				return err
			}
			s, err := openStore(c)
			if err != nil {
				return failing(c, err)
			}
			image, err := catalog.Tag(s, c.Args().Get(0), c.Args().Get(1))
			if err != nil || !c.Bool("json") {
				return failing(c, err)
			}
			return printer(c).JSON(summary(image))
		},
	}
}
