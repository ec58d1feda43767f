package imageset

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/layout"
	"github.com/coracle-run/coracle/test/mlimage"
)

// findZstd is where the image lies whose content is the large one's, else the small one's.
func findZstd() (string, error) {
	dir, err := original()
	if err != nil {
		return "", err
	}
	return place("zstd", filepath.Base(dir)), nil
}

func original() (string, error) {
	dir, err := mlimage.Large.Find()
	if err != nil {
		var smallErr error
		if dir, smallErr = mlimage.Small.Find(); smallErr != nil {
			return "", errors.Join(err, smallErr)
		}
	}
	return dir, nil
}

// buildZstd compresses the layers of the original anew.
func buildZstd(ctx context.Context, dir string, _ io.Writer) error {
	from, err := original()
	if err != nil {
		return err
	}
	image, err := layout.Open(from)
	if err != nil {
		return err
	}
	to, err := layout.Create(dir)
	if err != nil {
		return err
	}
	for _, d := range image.Manifest.Layers {
		_, err := to.Layer("zstd "+d.Digest.Encoded()[:12], ocispec.MediaTypeImageLayerZstd, func(w io.Writer) (err error) {
			r, err := image.Layer(d)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.Close()) }()
			_, err = io.Copy(w, r)
			return errors.Join(err, ctx.Err())
		})
		if err != nil {
			return err
		}
	}
	return to.Finish(image.Config.Config)
}
