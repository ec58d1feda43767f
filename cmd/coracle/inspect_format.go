package main

import (
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/template"
)

// objectFormatFlag is the --format of commands that print whole objects.
func objectFormatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "Print each object by `TEMPLATE` of its JSON, such as '{{.Config.Env}}' or '{{json .Config}}'"}
}

// parseObjectFormat reads --format; nil where none is given.
func parseObjectFormat(c *cli.Context) (*template.Object, error) {
	text := c.String("format")
	if text == "" || text == "json" {
		return nil, nil
	}
	return template.ParseObject(commandName(c), text)
}
