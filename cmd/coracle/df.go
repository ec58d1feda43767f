package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/store"
)

const dfDescription = `
A layer that images share is counted once. ACTIVE is what live runs use, and
RECLAIMABLE what 'coracle prune --all' would free. Sizes are those of the files'
content. Writable layers, volumes and leftovers of many thousands of files are
not looked through to the end: their sizes begin with '>'. Of volumes, those
that no run uses are reclaimable, by 'coracle volume prune --all' alone, and of
kept writable layers by 'coracle prune --uppers'.

Examples:
  coracle df
  coracle df -v
  coracle df --json | jq .layers.free
`

func dfCommand() *cli.Command {
	return &cli.Command{
		Name:        "df",
		Usage:       "Show what the store holds and what space is left",
		Description: dfDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "Show each image, layer, blob and writable layer"},
			&cli.StringFlag{Name: "format", Usage: "Print each kind by `TEMPLATE`, such as '{{.Type}} {{.Size}}'"},
			jsonFlag(),
		},
		Action: dfAction,
	}
}

func dfAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	text := c.String("format")
	format, err := template.ParseRows[usageRowText]("df", text, ".Type .TotalCount .Active .Size .Reclaimable")
	if err != nil {
		return err
	}
	s, err := openStoreAsItIs(c)
	if err != nil {
		return failing(c, err)
	}
	u, err := s.Usage()
	if err != nil {
		return failing(c, err)
	}
	volumes, err := volumesOf(s).Usage()
	if err != nil {
		return failing(c, err)
	}
	p := printer(c)
	if c.Bool("json") || text == "json" {
		return p.JSON(newWholeUsage(u, volumes))
	}
	table := usageTable(u)
	table.Rows = append(table.Rows, keptUsageRow(u), volumeUsageRow(volumes))
	if text != "" && text != "table" {
		rows := make([]usageRowText, len(table.Rows))
		for i, r := range table.Rows {
			rows[i] = usageRowText{r[0], r[1], r[2], r[3], r[4]}
		}
		return format.Print(p, usageRowText{"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"}, rows)
	}
	if err := p.Table(table); err != nil {
		return err
	}
	if err := p.Line(""); err != nil {
		return err
	}
	if err := p.Table(placesTable(u)); err != nil || !c.Bool("verbose") {
		return err
	}
	for _, t := range append(detailTables(u), keptUsageTable(u), volumeUsageTable(volumes)) {
		if len(t.Rows) == 0 {
			continue
		}
		if err := p.Line(""); err != nil {
			return err
		}
		if err := p.Table(t); err != nil {
			return err
		}
	}
	return nil
}

// usageRowText is what a --format template sees of a kind of things: docker's fields.
type usageRowText struct{ Type, TotalCount, Active, Size, Reclaimable string }

// usageTable has docker's columns. Each byte is in one row.
func usageTable(u store.Usage) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: "TYPE"}, {Title: "TOTAL"}, {Title: "ACTIVE"}, {Title: "SIZE"}, {Title: "RECLAIMABLE"}}}
	row := func(kind string, total, active int, size string, reclaimable, of int64) {
		t.Rows = append(t.Rows, usageRow(kind, total, active, size, reclaimable, of))
	}
	active := 0
	for _, i := range u.Images {
		if len(i.Runs) > 0 {
			active++
		}
	}
	row("Images", len(u.Images), active, ui.Size(u.LayerBytes), u.IdleBytes, u.LayerBytes)
	loose, looseActive, looseFree := int64(0), 0, int64(0)
	for _, l := range u.Loose {
		loose += l.Bytes
		if l.InUse {
			looseActive++
		} else {
			looseFree += l.Bytes
		}
	}
	row("Layers without image", len(u.Loose), looseActive, ui.Size(loose), looseFree, loose)
	for _, partial := range []bool{false, true} {
		var n, busy int
		var size, free int64
		for _, b := range u.Blobs {
			if b.Partial != partial {
				continue
			}
			n++
			size += b.Size
			if b.Idle {
				free += b.Size
			} else {
				busy++
			}
		}
		row(map[bool]string{false: "Kept blobs", true: "Partial downloads"}[partial], n, busy, ui.Size(size), free, size)
	}
	var written, left store.Amount
	for _, w := range u.Uppers {
		written.Add(w.Amount)
	}
	for _, l := range u.Leftover {
		left.Add(l.Amount)
	}
	row("Writable layers", len(u.Uppers), len(u.Uppers), amountText(written), 0, 0)
	row("Leftovers", len(u.Leftover), 0, amountText(left), left.Bytes, left.Bytes)
	row("Run records", u.Runs, liveRuns(u.Uppers), amountText(u.Records), 0, 0)
	return t
}

func usageRow(kind string, total, active int, size string, reclaimable, of int64) []string {
	share := ui.Size(reclaimable)
	if of > 0 {
		share += fmt.Sprintf(" (%d%%)", reclaimable*100/of)
	}
	return []string{kind, fmt.Sprint(total), fmt.Sprint(active), size, share}
}

// amountText is a size, and says when there is more.
func amountText(a store.Amount) string {
	if a.Partial {
		return ">" + ui.Size(a.Bytes)
	}
	return ui.Size(a.Bytes)
}

func placesTable(u store.Usage) ui.Table {
	t := ui.Table{Columns: []ui.Column{{Title: "PLACE"}, {Title: "FILESYSTEM"}, {Title: "SIZE"}, {Title: "FREE"}, {Title: "FREE INODES"}, {Title: "DIRECTORY"}}}
	for _, place := range []struct {
		name string
		of   store.Place
	}{{"Data", u.Data}, {"Layers", u.Layers}} {
		inodes := "unlimited"
		if place.of.Inodes > 0 {
			inodes = fmt.Sprint(place.of.InodesFree)
		}
		kind := place.of.Type
		if place.of.ReadOnly {
			kind += " (read-only)"
		}
		t.Rows = append(t.Rows, []string{place.name, kind, ui.Size(place.of.Size), ui.Size(place.of.Free), inodes, place.of.Dir})
	}
	return t
}

// detailTables list what usageTable adds up.
func detailTables(u store.Usage) []ui.Table {
	images := ui.Table{Columns: []ui.Column{{Title: "IMAGE ID"}, {Title: "NAME", Cut: ui.Front}, {Title: "SIZE"}, {Title: "SHARED"}, {Title: "UNIQUE"}, {Title: "RUNS", Cut: ui.Back}}}
	for _, i := range u.Images {
		names := []string{}
		for _, ref := range i.References {
			names = append(names, familiarImage(ref))
		}
		size := ui.Size(i.Bytes)
		if i.Missing > 0 {
			size += fmt.Sprintf(" (%s missing)", count(i.Missing, "layer"))
		}
		images.Rows = append(images.Rows, []string{
			shortID(i.Digest.String(), false), cmp.Or(strings.Join(names, ", "), none), size, ui.Size(i.Shared), ui.Size(i.Bytes - i.Shared), strings.Join(i.Runs, ", "),
		})
	}
	layers := ui.Table{Columns: []ui.Column{{Title: "LAYER WITHOUT IMAGE"}, {Title: "SIZE"}, {Title: "IN USE"}}}
	for _, l := range u.Loose {
		layers.Rows = append(layers.Rows, []string{shortID(l.Digest.String(), false), ui.Size(l.Bytes), yesNo(l.InUse)})
	}
	blobs := ui.Table{Columns: []ui.Column{{Title: "BLOB"}, {Title: "SIZE"}, {Title: "PARTIAL"}, {Title: "IN USE"}}}
	for _, b := range u.Blobs {
		blobs.Rows = append(blobs.Rows, []string{shortID(b.Digest.String(), false), ui.Size(b.Size), yesNo(b.Partial), yesNo(!b.Idle)})
	}
	uppers := ui.Table{Columns: []ui.Column{{Title: "WRITABLE LAYER OF"}, {Title: "IMAGE", Cut: ui.Front}, {Title: "FILES"}, {Title: "SIZE"}}}
	for _, w := range u.Uppers {
		uppers.Rows = append(uppers.Rows, []string{w.Run, familiarImage(w.Image), fmt.Sprint(w.Entries), amountText(w.Amount)})
	}
	left := ui.Table{Columns: []ui.Column{{Title: "LEFTOVER", Cut: ui.Front}, {Title: "SIZE"}}}
	for _, l := range u.Leftover {
		left.Rows = append(left.Rows, []string{l.Path, amountText(l.Amount)})
	}
	return []ui.Table{images, layers, blobs, uppers, left}
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// liveRuns are those that have writable layers; what several runs share is none's.
func liveRuns(uppers []store.UpperUsage) (n int) {
	for _, u := range uppers {
		if !u.Shared {
			n++
		}
	}
	return n
}
