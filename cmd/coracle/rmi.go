package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

const rmiDescription = `
The name goes and, when it was the image's last name, then also the image, with
all layers that no other image has. Named by its id or digest, an image goes
with all its names. An image that a run uses stays.

Examples:
  coracle rmi python:3.13-slim
  coracle rmi 4f1c0e7a9d2b
  coracle rmi $(coracle images -q)

Exit codes:
  0      all are removed
  125    at least one is not: no such image, or in use
`

func rmiCommand() *cli.Command {
	return &cli.Command{
		Name:        "rmi",
		Usage:       "Remove images from the store",
		ArgsUsage:   "IMAGE [IMAGE...]",
		Description: rmiDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Say nothing of images that are not there"},
			jsonFlag(),
		},
		Action: rmiAction,
	}
}

func rmiAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image", 0); err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	all, errs := []store.Removed{}, []error{}
	for _, name := range c.Args().Slice() {
		removed, err := remove(s, name)
		if errors.Is(err, store.ErrNotFound) && c.Bool("force") {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, removed)
		if !c.Bool("json") {
			errs = append(errs, printRemoved(printer(c), removed))
		}
	}
	if c.Bool("json") {
		errs = append(errs, printer(c).JSON(all))
	}
	return failing(c, errors.Join(errs...))
}

// remove removes an image by its reference as users write it, else by its id or digest.
func remove(s *store.Store, name string) (store.Removed, error) {
	_, key, err := catalog.Find(s, name)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return store.Removed{}, err
	}
	return s.Remove(key)
}

func printRemoved(p *ui.Printer, removed store.Removed) error {
	for _, ref := range removed.Untagged {
		if err := p.Line("Untagged: %s", ref); err != nil {
			return err
		}
	}
	if removed.Deleted == "" {
		return nil
	}
	if err := p.Line("Deleted: %s", removed.Deleted); err != nil {
		return err
	}
	for _, layer := range removed.Layers {
		if err := p.Line("Deleted: layer %s", layer); err != nil {
			return err
		}
	}
	return p.Line("Freed: %s", ui.Size(removed.Bytes))
}
