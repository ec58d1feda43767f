package main

import (
	"cmp"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/catalog"
)

const pullDescription = `
The image for this machine's platform is verified while it arrives, and its
layers are unpacked into the store. A layer that is there is not fetched again.
Names mean what they mean to docker: 'debian:12' is docker.io/library/debian:12.
Images in files have skopeo's names: docker-archive:FILE[:NAME], oci:DIR[:TAG],
oci-archive:FILE[:TAG]; they get the names that they have there.

Registries on this host (localhost, 127.0.0.0/8, [::1]) may speak plain http;
others need --insecure for that. Mirrors and blocked registries come from
registries.conf, certificates from certs.d, credentials from docker's
config.json and podman's auth.json with their credential helpers, proxies from
HTTPS_PROXY, HTTP_PROXY and NO_PROXY. 'coracle login' stores credentials.

The image's full name is printed on standard output, progress on standard error:
bars on a terminal, else lines. --progress json prints one object a line, with
"event" resolved, layer, progress or note; of all layers together and of each,
"bytes" of "total" are here, "unpacked_of" them unpacked into "files", at "rate"
bytes a second, with "eta_seconds" to go.

What was fetched of a large layer stays when a pull is interrupted or killed,
and the next one goes on from there; 'coracle prune' removes it. An image that
cannot fit on the disk is refused before anything is fetched.

Examples:
  coracle pull python:3.13-slim
  coracle pull --platform linux/arm64 ghcr.io/org/app:v2
  coracle pull registry.local:5000/train@sha256:4f1c0e7a...
  coracle pull --insecure registry.lab:5000/train
  coracle pull docker-archive:image.tar
  coracle pull --memory-budget 48m --progress plain ubuntu

Exit codes:
  0      the image is stored
  125    it is not: no such image, no access, damaged data, no space
  130    interrupted; what was fetched already is kept for the next time
`

func pullCommand() *cli.Command {
	return &cli.Command{
		Name:        "pull",
		Usage:       "Fetch an image from a registry or an archive into the store",
		ArgsUsage:   "NAME[:TAG|@DIGEST]",
		Description: pullDescription,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "platform", Usage: "Fetch the image for another platform, `OS/ARCH` or OS/ARCH/VARIANT"},
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for this registry"},
			&cli.BoolFlag{Name: "keep-blobs", Usage: "Keep the layers as they came, too, for 'save' and 'push'"},
			memoryFlag(),
			progressFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Show no progress"},
			&cli.BoolFlag{Name: apartFlag, Hidden: true},
			jsonFlag(),
		},
		Action: pullAction,
	}
}

func pullAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image", 1); err != nil {
		return err
	}
	name, err := catalog.Parse(c.Args().First())
	if err != nil {
		return failing(c, err)
	}
	if c.Bool(apartFlag) {
		return pullApart(c, name)
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	if err := confine(s); err != nil {
		return failing(c, err)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	image, err := fetchName(ctx, c, s, name, catalog.Take)
	if err != nil {
		return cmp.Or(failing(c, interrupted(ctx)), err) // err says that it was pulling, and what
	}
	if c.Bool("json") {
		return printer(c).JSON(summary(image))
	}
	return printer(c).Line("%s", cmp.Or(image.Ref, image.Digest.String()))
}
