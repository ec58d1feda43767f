package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/idmap"
)

const volumeDescription = `
A volume is a directory that Coracle keeps for you under a name. 'coracle run
-v NAME:/data' makes it when it is not there; the first run that mounts it empty
gives it what the image has in its place, unless it says nocopy. It stays until
'coracle volume rm'. A volume that a run mounts without a name ('-v /data') goes
with the run.

Volumes are in the store with the records, be that on a network file system, and
so are the same on all nodes ('coracle volume inspect' says where). For data
that is too large for that place, mount a directory of yours instead.

Examples:
  coracle run -v checkpoints:/out IMAGE python3 train.py
  coracle volume ls
  coracle volume rm checkpoints
`

func volumeCommand() *cli.Command {
	return &cli.Command{
		Name:        "volume",
		Usage:       "List, make, inspect and remove volumes",
		Description: volumeDescription,
		Flags:       volumeListFlags(),
		Action:      volumeListAction,
		Subcommands: []*cli.Command{
			volumeListCommand(), volumeCreateCommand(), volumeInspectCommand(), volumeRemoveCommand(), volumePruneCommand(),
		},
	}
}

// openVolumes opens the volumes beside the store.
func openVolumes(c *cli.Context) (*volume.Store, error) {
	s, err := openStore(c)
	if err != nil {
		return nil, err
	}
	return volumesOf(s), nil
}

func volumesOf(s *store.Store) *volume.Store { return volume.Open(s.Dirs().Data, idmap.RemoveForeign) }

const volumeCreateDescription = `
Prints the name. A volume that is there already stays as it is. Without a name
it gets a random one, and 'coracle volume prune' removes it when no run uses it.

Examples:
  coracle volume create checkpoints
  coracle volume create --label project=ocr ocr-cache
`

func volumeCreateCommand() *cli.Command {
	return &cli.Command{
		Name:        "create",
		Usage:       "Make a volume",
		ArgsUsage:   "[NAME]",
		Description: volumeCreateDescription,
		Flags: []cli.Flag{
			&line.List{Name: "label", Usage: "Give it a label, `KEY=VALUE`"},
			&cli.StringFlag{Name: "driver", Aliases: []string{"d"}, Value: driver, Usage: "Accepted for docker's sake: `NAME` is local"},
			&line.List{Name: "opt", Aliases: []string{"o"}, Usage: "Refused: volumes have no `OPTION`"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := atMost(c, 1); err != nil {
				return err
			}
			if name := c.String("driver"); name != driver {
				return usagef(commandName(c), "the only driver is %s, not %q", driver, name)
			}
			if len(line.Values(c, "opt")) > 0 {
				return usagef(commandName(c), "volumes have no options: mount a directory of yours with 'run -v DIR:/data'")
			}
			wanted, err := wantedVolume(c)
			if err != nil {
				return failing(c, err)
			}
			volumes, err := openVolumes(c)
			if err != nil {
				return failing(c, err)
			}
			v, _, err := volumes.Create(wanted)
			if err != nil {
				return failing(c, err)
			}
			if c.Bool("json") {
				return printer(c).JSON(summarize(volume.Usage{Volume: v}))
			}
			return printer(c).Line("%s", v.Name)
		},
	}
}

// driver is what docker calls the way in which volumes are kept.
const driver = "local"

func wantedVolume(c *cli.Context) (v volume.Volume, err error) {
	for _, text := range line.Values(c, "label") {
		key, value, _ := strings.Cut(text, "=")
		if key == "" {
			return v, usagef(commandName(c), "--label %q is no KEY=VALUE", text)
		}
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		v.Labels[key] = value
	}
	if v.Name = c.Args().First(); c.NArg() == 0 {
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails
		v.Name, v.Anonymous = hex.EncodeToString(random[:]), true
	}
	return v, nil
}

const volumeRemoveDescription = `
The files go for good. A volume that a run uses stays.

Examples:
  coracle volume rm checkpoints
  coracle volume rm $(coracle volume ls -q --filter dangling=true)

Exit codes:
  0      all are removed
  125    at least one is not: no such volume, or in use
`

func volumeRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:        "rm",
		Aliases:     []string{"remove"},
		Usage:       "Remove volumes with their files",
		ArgsUsage:   "NAME [NAME...]",
		Description: volumeRemoveDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "Say nothing of volumes that are not there"},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the name of a volume", 0); err != nil {
				return err
			}
			volumes, err := openVolumes(c)
			if err != nil {
				return failing(c, err)
			}
			return failing(c, removeNamed(c, volumes.Remove, volume.ErrNotFound))
		},
	}
}

// removeNamed removes what the arguments name, each whatever becomes of the others, and prints the names of what went. With --force
// one that is missing is passed over.
func removeNamed(c *cli.Context, remove func(ctx context.Context, name string) error, missing error) error {
	removed, errs := []string{}, []error{}
	for _, name := range c.Args().Slice() {
		err := remove(c.Context, name)
		if errors.Is(err, missing) && c.Bool("force") {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, name)
		if !c.Bool("json") {
			errs = append(errs, printer(c).Line("%s", name))
		}
	}
	if c.Bool("json") {
		errs = append(errs, printer(c).JSON(removed))
	}
	return errors.Join(errs...)
}
