package job

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// volumes is what a run holds of those beside the host's directories.
type volumes struct {
	config  container.Volumes
	leases  undo.Stack
	filling undo.Stack // what others wait for until the container has begun
}

// seeded lets go of the volumes that were to be filled.
func (v *volumes) seeded() error { return v.filling.Run() }

// release gives the volumes back. A second call does nothing.
func (v *volumes) release() error { return errors.Join(v.filling.Run(), v.leases.Run()) }

func (r *Runner) named() *volume.Store { return volume.Open(r.Store.Dirs().Data, idmap.RemoveForeign) }

// readyVolumes makes the volumes that are not there, and says in the specification and in the request to the keeper what they are
// mounted from.
func (a *attempt) readyVolumes(ctx context.Context, upper *store.Upper) error {
	named, err := a.useNamed(ctx)
	if err != nil {
		return err
	}
	for i, v := range a.options.Spec.Volumes {
		extra := filepath.Join(upper.Extra(), strconv.Itoa(i))
		switch {
		case v.Type == spec.Image:
			err = a.readyImage(ctx, v, extra)
		case v.Type == spec.Named && v.Source == "":
			err = a.readyOwn(v, extra)
		case v.Type == spec.Named:
			a.readyNamed(v, named[v.Source])
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrVolume, v.Target, err)
		}
	}
	return nil
}

// use is a volume that this run has a lease on, and how it is to be filled; nil: it is not.
type use struct {
	*volume.Lease
	seeding *volume.Seeding
}

// useNamed takes the leases on named volumes, by their names: so that of two runs none waits for the other with what that wants.
func (a *attempt) useNamed(ctx context.Context) (map[string]use, error) {
	wanted := map[string]spec.Volume{}
	for _, v := range a.options.Spec.Volumes {
		if v.Type != spec.Named || v.Source == "" {
			continue
		}
		v.NoCopy = !copies(v)
		if first, again := wanted[v.Source]; again {
			v.NoCopy = first.NoCopy && v.NoCopy
		}
		wanted[v.Source] = v
	}
	uses := make(map[string]use, len(wanted))
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		u, err := a.useVolume(ctx, wanted[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrVolume, err)
		}
		uses[name] = u
	}
	return uses, nil
}

// copies reports whether an empty volume gets what the image has in its place.
func copies(v spec.Volume) bool { return !v.NoCopy && v.Subpath == "" }

func (a *attempt) useVolume(ctx context.Context, v spec.Volume) (u use, err error) {
	run := a.writer.Run()
	by := volume.User{ID: run.ID, Name: run.Name, Run: a.writer.Dir(), Owner: run.Supervisor}
	if u.Lease, err = a.named().Use(ctx, volume.Volume{Name: v.Source, Labels: labels(v.Labels)}, by); err != nil {
		return u, err
	}
	a.volumes.leases.Add(u.Release)
	if st, err := os.Stat(v.Source); u.Made && err == nil && st.IsDir() {
		a.Notice(fmt.Sprintf("made the volume %s; the directory of this name would be ./%s", v.Source, v.Source))
	}
	slow := time.AfterFunc(2*time.Second, func() { a.Notice("waiting for another run, which fills volume " + v.Source) })
	defer slow.Stop()
	if u.seeding, err = u.Seed(ctx, !v.NoCopy); u.seeding != nil {
		a.volumes.filling.Add(u.seeding.End)
	}
	return u, err
}

// labels reads KEY=VALUE.
func labels(list []string) map[string]string {
	if len(list) == 0 {
		return nil
	}
	labels := map[string]string{}
	for _, text := range list {
		key, value, _ := strings.Cut(text, "=")
		labels[key] = value
	}
	return labels
}

func (a *attempt) readyNamed(v spec.Volume, u use) {
	if u.seeding != nil {
		seed := rootfs.Seed{Staging: u.seeding.Staging, Ready: u.seeding.Ready, Data: u.seeding.Data}
		if copies(v) {
			seed.Target = []byte(v.Target)
		}
		a.volumes.config.Seeds = append(a.volumes.config.Seeds, seed)
	}
	if v.Subpath != "" {
		a.volumes.config.Sources = append(a.volumes.config.Sources, rootfs.Source{Target: []byte(v.Target), Dir: u.Path, Subpath: v.Subpath})
		return
	}
	spec.SetSource(a.spec, v.Target, u.Path)
}

// readyOwn makes a volume without a name: it lies beside the run's writable layer and goes with it.
func (a *attempt) readyOwn(v spec.Volume, extra string) error {
	data, staging := filepath.Join(extra, "data"), filepath.Join(extra, "staging")
	if err := errors.Join(fsx.MkdirAll(data, 0o755), os.Chmod(data, 0o755), fsx.MkdirAll(staging, 0o700)); err != nil {
		return err
	}
	if !v.NoCopy {
		a.volumes.config.Seeds = append(a.volumes.config.Seeds, rootfs.Seed{Target: []byte(v.Target), Staging: staging, Ready: filepath.Join(extra, "ready"), Data: data})
	}
	spec.SetSource(a.spec, v.Target, data)
	return nil
}

// readyImage finds the trees of an image that is mounted, which the lease of the writable layer holds.
func (a *attempt) readyImage(ctx context.Context, v spec.Volume, extra string) error {
	image, here := a.Store.Keep(a.data[v.Source])
	if !here {
		if err := a.refetch(ctx, v.Source, image); err != nil {
			return err
		}
	}
	trees, err := a.trees(ctx, image)
	if err != nil {
		return err
	}
	if err := fsx.MkdirAll(extra, 0o755); err != nil {
		return err
	}
	a.volumes.config.Sources = append(a.volumes.config.Sources, rootfs.Source{Target: []byte(v.Target), Layers: trees, Copy: extra, Subpath: v.Subpath})
	return nil
}

// dataImages gets the images that are to be mounted, by the names given, as the run's own is got.
func (r *Runner) dataImages(ctx context.Context, o Options) (map[string]store.Image, error) {
	var images map[string]store.Image
	for _, v := range o.Spec.Volumes {
		if _, known := images[v.Source]; v.Type != spec.Image || known {
			continue
		}
		image, err := o.Fetch.Get(ctx, r.Store, v.Source)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Target, err)
		}
		if images == nil {
			images = map[string]store.Image{}
		}
		images[v.Source] = image
	}
	return images, nil
}

// digests are those of images, in a fixed order.
func digests(images map[string]store.Image) (list []digest.Digest) {
	for _, name := range slices.Sorted(maps.Keys(images)) {
		list = append(list, images[name].Digest)
	}
	return list
}

// layers are those of all images of the run.
func (a *attempt) layers() []digest.Digest {
	list := a.image.Layers()
	for _, name := range slices.Sorted(maps.Keys(a.data)) {
		list = append(list, a.data[name].Layers()...)
	}
	return list
}
