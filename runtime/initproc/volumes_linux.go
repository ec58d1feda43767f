package initproc

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/runtime/rootfs"
)

// sourceDir begins the names of places that volumes are mounted from.
const sourceDir = workshop + "/source-"

// readyVolumes makes those volumes ready that take more than a mount, and says how the images among them were made.
func (k *keeper) readyVolumes() (images []rootfs.Made, err error) {
	for _, seed := range k.request.Volumes.Seeds {
		if err := seed.Fill(rootDir); err != nil {
			return nil, err
		}
	}
	for i, source := range k.request.Volumes.Sources {
		mounts := k.request.Spec.Mounts
		at := slices.IndexFunc(mounts, func(m specs.Mount) bool { return m.Destination == string(source.Target) && m.Source == "" })
		if at < 0 {
			return nil, fmt.Errorf("%s: nothing is to be mounted there", source.Target)
		}
		path, made, err := source.Mount(sourceDir + strconv.Itoa(i))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source.Target, err)
		}
		mounts[at].Source = path
		if made.Way != "" {
			images = append(images, made)
		}
	}
	return images, nil
}
