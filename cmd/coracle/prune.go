package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/store"
)

const pruneDescription = `
Removes images that no name means any more, layers and kept blobs that no image
has, downloads that were broken off, and what killed runs left. With --all every
image goes that no live run uses, by whatever name. Nothing that a run uses or a
pull is fetching is touched, no record of a run, and no volume with a name of
your choice. Writable layers that are kept ('run --upper keep:NAME') go with
--uppers alone, and only those that no run has.

TIME is a date (2026-01-31), a date and time (2026-01-31T12:00:00), a number of
seconds since 1970, or an age (24h, 90m, 7d). For an image it is compared with
the time of the pull.

It asks first, and takes only "y" for a yes. In a script say --force: without it
and without an answer on standard input nothing is removed, with status 125.

Examples:
  coracle prune
  coracle prune --dry-run --all
  coracle prune --all --until 30d --force
  coracle prune --force --json | jq .bytes

Exit codes:
  0      all of it is removed, or there was nothing to remove
  125    not confirmed, or something could not be removed
`

func pruneCommand() *cli.Command {
	return &cli.Command{
		Name:        "prune",
		Usage:       "Remove what nobody needs: images, layers, blobs, leftovers",
		Description: pruneDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "Remove every image that no live run uses, not only those without a name"},
			&cli.BoolFlag{Name: "volumes", Usage: "Remove unused volumes with random names too, as 'volume prune' does"},
			&cli.BoolFlag{Name: "uppers", Usage: "Remove kept writable layers that no run has, too"},
			&cli.StringFlag{Name: "until", Usage: "Remove only what is from before `TIME`"},
			&line.List{Name: "filter", Usage: "As docker has it: `until=TIME`"},
			&cli.BoolFlag{Name: "dry-run", Usage: "Say what would be removed, and remove nothing"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Do not ask"},
			jsonFlag(),
		},
		Action: pruneAction,
	}
}

func pruneAction(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	before, err := pruneBefore(c, time.Now())
	if err != nil {
		return err
	}
	if c.Bool("volumes") && !before.IsZero() {
		return usagef("prune", "--volumes has no --until: nothing tells when a volume was used last")
	}
	if c.Bool("uppers") && !before.IsZero() {
		return usagef("prune", "--uppers has no --until: nothing tells when one was used last")
	}
	if err := confirm(c); err != nil {
		return failing(c, err)
	}
	s, err := openStoreAsItIs(c)
	if err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	pruned, err := s.Prune(ctx, store.PruneOptions{All: c.Bool("all"), Before: before, Uppers: c.Bool("uppers"), DryRun: c.Bool("dry-run")})
	err = errors.Join(err, closeRecords(pruned.Dead))
	volumes := prunedVolumes{Volumes: []prunedVolume{}}
	if c.Bool("volumes") && ctx.Err() == nil {
		var volumeErr error
		volumes, volumeErr = pruneVolumes(c.Context, volumesOf(s), volume.PruneOptions{DryRun: c.Bool("dry-run")})
		pruned.Bytes, err = pruned.Bytes+volumes.Bytes, errors.Join(err, volumeErr)
	}
	if stopped := interrupted(ctx); stopped != nil {
		err = stopped
	}
	if c.Bool("json") {
		return failing(c, errors.Join(printer(c).JSON(prunedAll{pruned, volumes.Volumes}), err))
	}
	return failing(c, errors.Join(printPruned(printer(c), pruned, volumes), err))
}

// prunedAll is `prune --json`.
type prunedAll struct {
	store.Pruned
	Volumes []prunedVolume `json:"volumes"`
}

// pruneBefore is the time that --until or docker's filter gives, or the zero time.
func pruneBefore(c *cli.Context, now time.Time) (time.Time, error) {
	text := c.String("until")
	for _, filter := range line.Values(c, "filter") {
		name, value, _ := strings.Cut(filter, "=")
		if name != "until" || value == "" {
			return time.Time{}, usagef("prune", "--filter %q is not known; there is until=TIME", filter)
		}
		if text != "" && text != value {
			return time.Time{}, usagef("prune", "more than one time is given: %s and %s", text, value)
		}
		text = value
	}
	if text == "" {
		return time.Time{}, nil
	}
	before, err := quantity.Moment(text, now)
	if err != nil {
		return time.Time{}, usagef("prune", "%q is %v", text, err)
	}
	return before, nil
}

// notConfirmedError means that nobody has said yes.
type notConfirmedError struct{}

func (notConfirmedError) Error() string { return "not confirmed, nothing was removed" }
func (notConfirmedError) Hint() string {
	return "answer y, or say --force; --dry-run shows what would go"
}

// confirm asks, unless the command line has answered or nothing will be removed.
func confirm(c *cli.Context) error {
	if c.Bool("force") || c.Bool("dry-run") {
		return nil
	}
	what := "all images without a name"
	if c.Bool("all") {
		what = "all images that no live run uses"
	}
	if c.Bool("volumes") {
		what += ", volumes without a name of your choice that no run uses"
	}
	if c.Bool("uppers") {
		what += ", kept writable layers that no run has"
	}
	yes, err := printer(c).Ask(c.App.Reader, "This removes %s, layers and blobs that no image has, broken-off downloads and what killed runs left. Go on? [y/N] ", what)
	if err == nil && !yes {
		err = notConfirmedError{}
	}
	return err
}

// printPruned prints what went in docker's form.
func printPruned(p *ui.Printer, pruned store.Pruned, volumes prunedVolumes) error {
	deleted, total := "Deleted", "Total reclaimed space"
	if pruned.DryRun {
		deleted, total = "Would delete", "Total reclaimable space"
	}
	for _, img := range pruned.Images {
		for _, ref := range img.References {
			if err := p.Line("%s: %s", map[bool]string{false: "Untagged", true: "Would untag"}[pruned.DryRun], ref); err != nil {
				return err
			}
		}
		if err := p.Line("%s: %s", deleted, img.Digest); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		kind  string
		items []store.Item
	}{
		{"layer", pruned.Layers}, {"blob", pruned.Blobs}, {"partial blob", pruned.Partials},
		{"writable layer of dead run", pruned.Uppers}, {"leftover", pruned.Temps}, {"kept writable layer", pruned.Kept},
	} {
		for _, item := range list.items {
			if err := p.Line("%s: %s %s (%s)", deleted, list.kind, item.Name, ui.Size(item.Bytes)); err != nil {
				return err
			}
		}
	}
	if err := printVolumes(p, deleted, volumes); err != nil {
		return err
	}
	return p.Line("%s: %s", total, ui.Size(pruned.Bytes))
}

// count is "1 image" or "2 images".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
