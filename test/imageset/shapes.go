package imageset

import (
	"context"
	_ "embed"
	"fmt"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/test/layout"
)

// What decides over the bytes of a made-up image, beside its shape.
var (
	//go:embed content.go
	contentSource string
	//go:embed layer.go
	layerSource string
)

// A shape is a made-up image.
type shape struct {
	name, about string
	layers      [][]part
}

// A part is files of a layer, in directories of their own.
type part struct {
	files  int
	mean   int // bytes of a file
	perDir int
}

var shapes = []shape{
	{"fat", "one layer of 2 GB, from small scripts to libraries", [][]part{
		{{files: 16000, mean: 30_000, perDir: 40}, {files: 550, mean: 2_000_000, perDir: 30}, {files: 6, mean: 100_000_000, perDir: 6}},
	}},
	{"small40", "40 layers of 1 to 10 MB", forty()},
	{"files200k", "200,000 files of 3 kB in two layers", [][]part{
		{{files: 100_000, mean: 3000, perDir: 25}}, {{files: 100_000, mean: 3000, perDir: 25}},
	}},
	{"made", "400 MB in four layers", [][]part{
		{{files: 5000, mean: 8 << 10, perDir: 100}}, {{files: 6600, mean: 12 << 10, perDir: 100}},
		{{files: 320, mean: 256 << 10, perDir: 100}}, {{files: 13, mean: 16 << 20, perDir: 100}},
	}},
}

// forty layers as forty lines of a Dockerfile make them.
func forty() (layers [][]part) {
	for n := range 40 {
		megabytes := 1 + n*7%10
		layers = append(layers, []part{{files: 40 * megabytes, mean: 25_000, perDir: 20}})
	}
	return layers
}

func (s shape) set() Set {
	return Set{Name: s.name, About: s.about,
		locate: func() (string, error) { return place(s.name, contentSource, layerSource, fmt.Sprint(s.layers)), nil },
		build:  func(_ context.Context, dir string, _ io.Writer) error { return s.write(dir) }}
}

// write makes the layout.
func (s shape) write(dir string) error {
	image, err := layout.Create(dir)
	if err != nil {
		return err
	}
	for n, parts := range s.layers {
		_, err := image.Layer(fmt.Sprintf("%s %d", s.name, n), ocispec.MediaTypeImageLayerGzip, func(w io.Writer) error {
			return writeLayer(w, uint64(n), parts)
		})
		if err != nil {
			return err
		}
	}
	return image.Finish(ocispec.ImageConfig{Cmd: []string{"none"}})
}
