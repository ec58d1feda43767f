package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/oci/store"
)

// settleName is the command that a pull leaves behind.
const settleName = "settle"

// noSettle is the variable that is set where no process may outlive its command.
const noSettle = "CORACLE_NO_SETTLE"

const settleDescription = `
A pull does not wait until the disk has what it wrote; it leaves that to this
command. Layers that were not settled are fetched again after a restart.

With --image, the small layers of an image are also merged into few trees, so
that its containers start faster.

Examples:
  coracle settle sha256:4f1c0e7a...
`

// settleCommand waits until layers are on the disk and marks them, so that they are trusted after a restart. It is not for
// people: a pull starts it beside itself, because waiting for the disk would double the time of the pull.
func settleCommand() *cli.Command {
	return &cli.Command{
		Name:        settleName,
		Usage:       "Wait until layers are on the disk and mark them",
		ArgsUsage:   "DIGEST...",
		Description: settleDescription,
		Hidden:      true,
		Flags:       []cli.Flag{&cli.StringFlag{Name: "image", Usage: "merge the layers of the image with this digest"}},
		Action: func(c *cli.Context) error {
			s, err := openStore(c)
			if err != nil {
				return failing(c, err)
			}
			layers := make([]digest.Digest, 0, c.NArg())
			for _, text := range c.Args().Slice() {
				d, err := digest.Parse(text)
				if err != nil {
					return usagef(settleName, "%q is no digest", text)
				}
				layers = append(layers, d)
			}
			return failing(c, errors.Join(mergeLayers(c, s), s.Settle(layers...)))
		},
	}
}

// mergeLayers merges those of the image that is named, if one is and it is still there.
func mergeLayers(c *cli.Context, s *store.Store) error {
	name := c.String("image")
	if name == "" {
		return nil
	}
	image, err := s.Image(name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Merge(c.Context, image.Layers()...)
}

// settleBehind has another process settle what an image's layers lack, in a session of its own, with nothing of the caller's
// but the store. Where it cannot be had or is killed, nothing is lost but that the layers are fetched again after a restart, and that
// starts of an image of many are slower.
func settleBehind(s *store.Store, image store.Image) error {
	layers := s.Unsettled(image.Layers()...)
	args := []string{"--layers", s.Dirs().Layers, settleName}
	if merge := s.Unmerged(image); merge {
		args = append(args, "--image", string(image.Digest))
	} else if len(layers) == 0 {
		return nil
	}
	if os.Getenv(noSettle) != "" {
		return nil
	}
	for _, d := range layers {
		args = append(args, string(d))
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := fence.Outside(cmd.Start); err != nil {
		return err
	}
	return cmd.Process.Release()
}
