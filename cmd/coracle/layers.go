package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

// inspectLayers shows what the layers of images are made by, and what they weigh and waste.
func inspectLayers(c *cli.Context, s *store.Store) error {
	all, errs := []catalog.Anatomy{}, []error{}
	for _, name := range c.Args().Slice() {
		image, err := findImage(c.Context, s, name)
		if err == nil {
			var a catalog.Anatomy
			if a, err = catalog.Dissect(c.Context, s, image); err == nil {
				all = append(all, a)
			}
		}
		errs = append(errs, err)
	}
	p := printer(c)
	if c.Bool("json") {
		return failing(c, errors.Join(append(errs, p.JSON(all))...))
	}
	for n, a := range all {
		if len(all) > 1 {
			space := ""
			if n > 0 {
				space = "\n"
			}
			errs = append(errs, p.Line(space+"%s", cmp.Or(a.Ref, string(a.Digest))))
		}
		errs = append(errs, p.Table(layerTable(a, c.Bool("no-trunc"))))
		if text := wasteText(a); text != "" {
			errs = append(errs, p.Line("%s", text))
		}
	}
	return failing(c, errors.Join(errs...))
}

// docker's width for the commands that made layers.
const commandWidth = 45

func layerTable(a catalog.Anatomy, whole bool) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "LAYER"}, {Title: "SIZE"}, {Title: "UNPACKED"}, {Title: "ENTRIES"}, {Title: "HIDDEN"}, {Title: "CREATED BY", Cut: ui.Back},
	}}
	known := true
	for _, l := range a.Layers {
		known = known && l.Stored
		made := l.Instruction()
		if !whole {
			made = ui.Shorten(ui.Escape(made), commandWidth)
		}
		row := append([]string{shortID(string(l.Digest), whole)}, weightCells(l.Weight, l.Stored)...)
		t.Rows = append(t.Rows, append(row, made))
	}
	t.Rows = append(t.Rows, append([]string{"total"}, weightCells(a.Total, known)...))
	return t
}

func weightCells(w catalog.Weight, stored bool) []string {
	if !stored {
		return []string{ui.Size(w.Size), "-", "-", "-"}
	}
	return []string{ui.Size(w.Size), ui.Size(w.Unpacked), fmt.Sprint(w.Entries), ui.Size(w.HiddenBytes)}
}

// wasteText is the sum of what layers hide, in words.
func wasteText(a catalog.Anatomy) string {
	if a.Total.HiddenBytes == 0 || a.Total.Unpacked == 0 {
		return ""
	}
	return fmt.Sprintf("Hidden by layers above: %s in %d files, %.1f%% of what is unpacked.",
		ui.Size(a.Total.HiddenBytes), a.Total.HiddenFiles, 100*float64(a.Total.HiddenBytes)/float64(a.Total.Unpacked))
}
