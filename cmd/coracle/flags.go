package main

import (
	"cmp"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/pull"
)

// jsonFlag is the flag of every command that prints facts.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "Print JSON"}
}

// memoryFlag is a flag of all commands that pull.
func memoryFlag() cli.Flag {
	return &cli.StringFlag{Name: "memory-budget", Usage: "Use at most `SIZE` of memory for a pull, such as 48m (default: 96m)"}
}

// progressFlag is a flag of all commands that pull.
func progressFlag() cli.Flag {
	return &cli.StringFlag{Name: "progress", Value: string(ui.Auto), Usage: "Show progress as `STYLE`: auto (the default), plain, json or none"}
}

// progressStyle is how the flags ask for progress to be shown.
func progressStyle(c *cli.Context) (ui.Style, error) {
	style := ui.Style(c.String("progress"))
	if !c.IsSet("progress") {
		set, err := configuration(c)
		if err != nil {
			return "", err
		}
		style = ui.Style(set.Get("pull.progress").Text())
	}
	switch {
	case style != "" && !slices.Contains(ui.Styles, style):
		return "", usagef(c.Command.Name, "--progress is auto, plain, json or none, not %q", style)
	case c.Bool("quiet"):
		return ui.None, nil
	}
	return cmp.Or(style, ui.Auto), nil
}

// progressOf is the display that the flags ask for.
func progressOf(c *cli.Context, status string) (*ui.Progress, error) {
	style, err := progressStyle(c)
	if err != nil {
		return nil, err
	}
	return printer(c).ProgressIn(style, status), nil
}

// pullOptions are the flags of commands that pull.
func pullOptions(c *cli.Context) (pull.Options, error) {
	options := pull.Options{Platform: c.String("platform"), KeepBlobs: c.Bool("keep-blobs")}
	set, err := configuration(c)
	if err != nil {
		return options, err
	}
	if text := cmp.Or(c.String("memory-budget"), set.Get("pull.memory_budget").Text()); text != "" {
		bytes, err := quantity.Size(text)
		if err != nil || bytes < pull.LeastMemory {
			return options, usagef(c.Command.Name, "the memory budget %q is no size of at least %dm: write 48m or 1g", text, pull.LeastMemory>>20)
		}
		options.Memory = bytes
	}
	return options, nil
}
