package gpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/test/fixture"
)

// LaneEnv names the folder of the lane where its tests run. TestLane says what they are.
const LaneEnv = "CORACLE_GPU_LANE"

// LaneImage is what the lane's image is called.
const LaneImage = "localhost/gpu-lane:1"

// lane.test is made by `go test -c`; the others by Lane.
const run = `#!/bin/sh
# Tests Coracle on this machine's GPUs. Nothing but this folder is needed.
cd "$(dirname "$0")" && exec env ` + LaneEnv + `="$PWD" ./lane.test -test.v -test.count=1 -test.timeout=9m -test.run '^TestLane$' "$@"
`

// Lane fills a folder with what the tests on real GPUs need, but for the test binary: run, image.tar, and the programs copy,
// coracle and coracle-nvidia, which bin has. All of them were built before: where GPUs are, there may be no compiler, nor a network.
func Lane(ctx context.Context, folder, bin string) (err error) {
	build, err := os.MkdirTemp("", "driver-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(build)) }()
	d, err := Build(ctx, build)
	if err != nil {
		return err
	}
	im, err := Debian(d)
	if err != nil {
		return err
	}
	archive, err := Archive(LaneImage, im)
	if err != nil {
		return err
	}
	if err := errors.Join(
		os.MkdirAll(folder, 0o755),
		fsx.WriteFile(filepath.Join(folder, "image.tar"), archive, 0o644),
		need.WriteProgram(filepath.Join(folder, "run"), []byte(run)),
	); err != nil {
		return err
	}
	for name, from := range map[string]string{
		"copy": d.Path("copy"), "coracle": filepath.Join(bin, "coracle"), "coracle-nvidia": filepath.Join(bin, "coracle-nvidia"),
	} {
		raw, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := need.WriteProgram(filepath.Join(folder, name), raw); err != nil {
			return err
		}
	}
	return nil
}

// Archive is an image as an OCI layout in a tar archive (image-layout.md).
func Archive(name string, im fixture.Image) ([]byte, error) {
	manifest := im.Manifest()
	descriptor := manifest.Descriptor
	descriptor.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{descriptor},
	})
	if err != nil {
		return nil, fmt.Errorf("archiving an image: %w", err)
	}
	entries := []fixture.Entry{
		fixture.File(ocispec.ImageLayoutFile, `{"imageLayoutVersion":"`+ocispec.ImageLayoutVersion+`"}`, 0o644),
		fixture.File(ocispec.ImageIndexFile, string(index), 0o644),
	}
	blobs := []fixture.Blob{manifest, im.ConfigBlob()}
	for _, l := range im.Layers {
		blobs = append(blobs, fixture.Blob{Descriptor: l.Descriptor, Data: l.Blob})
	}
	for _, b := range blobs {
		entries = append(entries, fixture.File("blobs/sha256/"+b.Descriptor.Digest.Encoded(), string(b.Data), 0o644))
	}
	return fixture.Tar(entries...), nil
}
