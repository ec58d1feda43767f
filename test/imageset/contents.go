package imageset

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/test/layout"
)

// Contents is how much an image is, unpacked.
type Contents struct {
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`  // of all regular files
	Blocks  int64 `json:"blocks"` // bytes of them in whole blocks of 4 KiB, as they take on a disk
}

// contentsFile lies in a layout in the cache, so that its layers are read once.
const contentsFile = "contents.json"

const block = 4096

// Count reads all layers of the image in a layout, unless it is known what is in them.
func Count(dir string) (c Contents, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, contentsFile))
	if err == nil {
		return c, json.Unmarshal(raw, &c)
	}
	image, err := layout.Open(dir)
	if err != nil {
		return c, err
	}
	for _, d := range image.Manifest.Layers {
		r, err := image.Layer(d)
		if err != nil {
			return c, err
		}
		if err := errors.Join(c.add(r), r.Close()); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Contents) add(archive io.Reader) error {
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Entries++
		if h.Typeflag == tar.TypeReg {
			c.Bytes += h.Size
			c.Blocks += (h.Size + block - 1) / block * block
		}
	}
}

// keepContents leaves in the layout what Count finds, where that is allowed.
func keepContents(dir string) error {
	path := filepath.Join(dir, contentsFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	c, err := Count(dir)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := fsx.WriteFile(path, raw, 0o644); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
