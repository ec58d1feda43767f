package main

import (
	"encoding/json"
	"errors"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
)

// objectFormatFlag is the --format of commands that print whole objects.
func objectFormatFlag() cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "Print each object by `TEMPLATE` of its JSON, such as '{{.Config.Env}}' or '{{json .Config}}'"}
}

// objectFormat is a template for objects, by the names of their JSON.
type objectFormat struct{ *template.Template }

// parseObjectFormat reads --format; nil where none is given.
func parseObjectFormat(c *cli.Context) (*objectFormat, error) {
	text := c.String("format")
	if text == "" || text == "json" {
		return nil, nil
	}
	t, err := template.New("").Option("missingkey=error").Funcs(formatFunctions).Parse(text)
	if err != nil {
		return nil, &line.UsageError{
			Command: commandName(c), Problem: "--format: " + strings.TrimPrefix(err.Error(), "template: "), Advice: "the fields are those of its JSON",
		}
	}
	return &objectFormat{t}, nil
}

// show prints an object by the template. What it says is made harmless, line by line.
func (f *objectFormat) show(p *ui.Printer, object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var tree any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber() // sizes are not to be shown with exponents
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	var b strings.Builder
	if err := f.Execute(&b, tree); err != nil {
		return errors.New("--format: " + strings.TrimPrefix(err.Error(), "template: "))
	}
	for row := range strings.SplitSeq(b.String(), "\n") {
		if err := p.Line("%s", row); err != nil {
			return err
		}
	}
	return nil
}
