package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/unpack"
	"github.com/coracle-run/coracle/test/fixture"
)

// an operation is something that changes a store.
type operation struct {
	name string
	// before makes the store that it begins with; nothing disturbs it.
	before func(w world) error
	do     func(w world) error
	// cleans says that layers of images may go by it: an image is not whole then.
	cleans bool
}

// world is a store and where images come from.
type world struct {
	st   *store.Store
	reg  string // host of the registry, with the images a:1, b:1, and many:1 of many layers
	file string // an archive with the image a:1
}

// operations are all there are; the parent and the child of a test look them up by name.
var operations = []operation{
	{name: "pull", do: func(w world) error { return w.pull("a:1", pull.Options{}) }},
	{name: "pull in ranges", do: func(w world) error { return w.pull("a:1", pull.Options{RangeSize: 32 << 10}) }},
	{name: "pull, blobs kept", do: func(w world) error { return w.pull("a:1", pull.Options{RangeSize: 32 << 10, KeepBlobs: true}) }},
	{name: "pull again", before: func(w world) error { return errors.Join(w.pull("a:1", pull.Options{}), w.lose("a:1")) },
		do: func(w world) error { return w.pull("a:1", pull.Options{}) }},
	{name: "load", do: func(w world) error { return w.load() }},
	{name: "tag", before: both, do: func(w world) error {
		img, err := w.st.Image(w.name("a:1"))
		if err != nil {
			return err
		}
		img.Ref = w.name("c:1")
		return w.st.Put(img)
	}},
	{name: "remove", before: both, do: func(w world) error {
		_, err := w.st.Remove(w.name("a:1"))
		if errors.Is(err, store.ErrNotFound) {
			return nil // done
		}
		return err
	}},
	{name: "prune", before: func(w world) error { return errors.Join(both(w), w.litter()) }, do: func(w world) error { return w.prune(false) }},
	{name: "prune all", before: func(w world) error { return errors.Join(both(w), w.litter()) }, do: func(w world) error { return w.prune(true) }},
	{name: "settle", before: both, do: func(w world) error {
		img, err := w.st.Image(w.name("a:1"))
		if err != nil {
			return err
		}
		return w.st.Settle(img.Layers()...)
	}},
	{name: "merge", before: many, do: func(w world) error { return w.merge() }},
	{name: "remove what is merged", before: manyMerged, do: func(w world) error {
		_, err := w.st.Remove(w.name("many:1"))
		if errors.Is(err, store.ErrNotFound) {
			return nil // done
		}
		return err
	}},
	{name: "repair what is merged", cleans: true, before: func(w world) error { return errors.Join(manyMerged(w), w.damage("many:1")) }, do: func(w world) error {
		_, err := w.st.Check(context.Background(), store.CheckOptions{Repair: true})
		return err
	}},
	{name: "trees for other users", before: both, do: func(w world) error { return w.deltas("a:1") }},
	{name: "check and repair", cleans: true, before: func(w world) error { return errors.Join(both(w), w.damage("a:1")) }, do: func(w world) error {
		_, err := w.st.Check(context.Background(), store.CheckOptions{Repair: true, ReadData: true})
		return err
	}},
	{name: "a run's writable layer", before: both, do: func(w world) error {
		img, err := w.st.Image(w.name("a:1"))
		if err != nil {
			return err
		}
		id := fmt.Sprintf("run%d", os.Getpid())
		u, err := w.st.NewUpper(id, store.Lease{Run: "/runs/" + id, Digest: img.Digest, Layers: img.Layers()})
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(filepath.Join(u.FS(), "written"), []byte("x"), 0o600), u.Remove())
	}},
	{name: "a writable layer is kept", before: both, do: func(w world) error { return w.keep("written") }},
	{name: keeps, before: func(w world) error { return errors.Join(both(w), w.keep("before")) }, do: func(w world) error { return w.keep("written") }},
	{name: "a kept writable layer is removed", before: func(w world) error { return errors.Join(both(w), w.keep("before")) }, do: func(w world) error {
		err := w.st.RemoveKept(context.Background(), keptName)
		if errors.Is(err, store.ErrNotKept) {
			return nil // done
		}
		return err
	}},
}

// keeps is the operation before which something is kept that has to stay.
const keeps, keptName = "a kept writable layer goes on", "kept"

// keep is a run that keeps its writable layer, in which it makes a file.
func (w world) keep(file string) (err error) {
	img, err := w.st.Image(w.name("a:1"))
	if err != nil {
		return err
	}
	id := fmt.Sprintf("run%d", os.Getpid())
	u, err := w.st.NewUpper(id, store.Lease{Run: "/runs/" + id, Digest: img.Digest, Layers: img.Layers()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Remove()) }()
	if err := u.Keep(context.Background(), keptName, store.Basis{Digest: img.Digest}, store.Holder{Run: "/runs/" + id}); err != nil {
		return err
	}
	// The way first, as by who mounts it; the job comes then.
	if err := fsx.WriteVia(u.Work(), u.Way(), []byte("overlay\n"), 0o600, fsx.Sync); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(u.FS(), file), []byte("x"), 0o600)
}

func find(name string) operation {
	for _, op := range operations {
		if op.name == name {
			return op
		}
	}
	panic("torture: no operation " + name)
}

// both pulls both images, which share a layer.
func both(w world) error {
	return errors.Join(w.pull("a:1", pull.Options{KeepBlobs: true}), w.pull("b:1", pull.Options{}))
}

// many pulls the image of many layers.
func many(w world) error { return w.pull("many:1", pull.Options{}) }

func manyMerged(w world) error { return errors.Join(many(w), w.merge()) }

// merge merges the layers of that image, and settles it.
func (w world) merge() error {
	img, err := w.st.Image(w.name("many:1"))
	if err != nil {
		return err
	}
	return errors.Join(w.st.Merge(context.Background(), img.Layers()...), w.st.Settle(img.Layers()...))
}

func (w world) name(image string) string { return w.reg + "/" + image }

func (w world) pull(image string, o pull.Options) error {
	ref, err := registry.ParseRef(w.name(image))
	if err != nil {
		return err
	}
	client := registry.NewClient(registry.Options{Pause: time.Millisecond, Stall: 5 * time.Second})
	o.Pause, o.Parallel = time.Millisecond, 1
	_, err = pull.Image(context.Background(), w.st, client.Source(ref), o)
	return err
}

func (w world) prune(all bool) error {
	_, err := w.st.Prune(context.Background(), store.PruneOptions{All: all})
	return err
}

// litter leaves what prune finds: an image without a name, a layer and a blob that nobody has.
func (w world) litter() error {
	b, err := w.st.Image(w.name("b:1"))
	if err != nil {
		return err
	}
	b.Ref = w.name("a:1")
	if err := w.st.Put(b); err != nil {
		return err
	}
	d := digest.FromString("loose")
	staging, err := w.st.BeginLayer(d)
	if err != nil {
		return err
	}
	return staging.Commit(store.Layer{Digest: d, DiffID: d})
}

// damage takes a file from each layer of an image that is sealed.
func (w world) damage(image string) error {
	img, err := w.st.Image(w.name(image))
	if err != nil {
		return err
	}
	if err := w.st.Settle(img.Layers()...); err != nil {
		return err
	}
	for _, d := range img.Layers() {
		if err := os.RemoveAll(filepath.Join(w.st.LayerDir(d), "dir")); err != nil {
			return err
		}
	}
	return nil
}

// lose makes the layers of an image such as something has aged away.
func (w world) lose(image string) error {
	img, err := w.st.Image(w.name(image))
	if err != nil {
		return err
	}
	for _, d := range img.Layers() {
		if err := os.Remove(filepath.Join(filepath.Dir(w.st.LayerDir(d)), "eldest")); err != nil {
			return err
		}
	}
	return nil
}

// several is what a caller with subordinate ids is inside. The ids are the caller's, so that no process with others is needed.
var several = host.IDMap{UIDs: []host.IDRange{{Size: 1000}}, GIDs: []host.IDRange{{Size: 1000}}}

// deltas makes of each layer of an image what a run with other users makes of it, and settles that.
func (w world) deltas(image string) error {
	img, err := w.st.Image(w.name(image))
	if err != nil {
		return err
	}
	for _, d := range img.Layers() {
		if _, err := w.st.Delta(d, deltaMap); errors.Is(err, fs.ErrNotExist) {
			if err := w.delta(d); err != nil {
				return err
			}
		}
	}
	return w.st.Settle(img.Layers()...)
}

// deltaMap is the id map of those trees.
var deltaMap = store.DeltaMap(several.String())

func (w world) delta(d digest.Digest) (err error) {
	flat, err := w.st.Layer(d)
	if err != nil {
		return err
	}
	staging, err := w.st.BeginDelta(d, deltaMap)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, staging.Abort()) }()
	owners, err := w.st.Owners(d)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, owners.Close()) }()
	stats, err := unpack.Delta(context.Background(), w.st.LayerDir(d), staging.FS(), owners, several)
	if err != nil {
		return err
	}
	if stats.Entries == 0 {
		return w.st.MarkPlain(d)
	}
	return staging.Commit(store.Layer{Digest: d, DiffID: flat.DiffID, Unpacked: stats.Bytes, Entries: stats.Entries, Flat: flat.Created, Map: several.String()})
}

// load brings all images of the archive.
func (w world) load() (err error) {
	a, err := archive.Open(context.Background(), archive.Name{Transport: archive.Docker, Path: w.file}, archive.Options{Scratch: w.st.Scratch})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	for _, img := range a.Images() {
		_, err := pull.Image(context.Background(), w.st, a.Source(img, w.name("a:1"), ""), pull.Options{Pause: time.Millisecond, Parallel: 1})
		if err != nil {
			return err
		}
	}
	return nil
}

// save writes an image whose blobs are kept as an archive.
func (w world) save(image string) error {
	img, err := w.st.Image(w.name(image))
	if err != nil {
		return err
	}
	ref, err := registry.ParseRef(w.name(image))
	if err != nil {
		return err
	}
	return archive.WriteFile(w.file, func(to io.Writer) error {
		saved := []archive.Saved{{Image: img, Names: []registry.Ref{ref}}}
		return archive.Save(context.Background(), to, archive.Docker, saved, func(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
			return w.st.Blobs().Open(d.Digest)
		})
	})
}

// images are what the registry serves: three layers, one of several ranges, one of them shared.
func images() (a, b fixture.Image) {
	noise := func(n int) string {
		raw := make([]byte, n)
		random := rand.NewChaCha8([32]byte{1})
		_, _ = random.Read(raw) // never fails
		return string(raw)
	}
	shared := fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.File("dir/shared", "shared\n", 0o644), fixture.Symlink("link", "dir/shared"))
	a.Layers = []fixture.Layer{
		shared,
		fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.File("dir/large", noise(100<<10), 0o644), fixture.Hardlink("twin", "dir/large")),
		fixture.NewLayer(fixture.Zstd, fixture.Dir("dir", 0o755), fixture.File("dir/a", "a\n", 0o644).Own(7, 7), fixture.Whiteout("", "link"), fixture.Opaque("dir"),
			fixture.Dir("own", 0o2775).Own(7, 8), fixture.File("own/file", "own\n", 0o600).Own(7, 7).Xattr("user.test", "x"), fixture.Hardlink("own/twin", "own/file").Own(7, 7),
			fixture.Symlink("own/link", "file").Own(7, 7), fixture.Fifo("own/pipe", 0o600).Own(7, 7)),
	}
	b.Layers = []fixture.Layer{shared, fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.File("dir/b", "b\n", 0o644))}
	return a, b
}

// manyLayers is an image whose layers are merged, with whiteouts and opaque directories among them.
func manyLayers() (many fixture.Image) {
	many.Layers = append(many.Layers, fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.File("dir/base", "base\n", 0o644), fixture.Hardlink("twin", "dir/base")))
	for n := range 8 {
		name := fmt.Sprintf("dir/%d", n)
		many.Layers = append(many.Layers, fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.File(name, name, 0o644)))
	}
	many.Layers = append(many.Layers,
		fixture.NewLayer(fixture.Gzip, fixture.Dir("dir", 0o755), fixture.Whiteout("dir/", "3"), fixture.Symlink("link", "dir")),
		fixture.NewLayer(fixture.Gzip, fixture.Dir("own", 0o700), fixture.Opaque("own"), fixture.File("own/file", "own\n", 0o600)))
	return many
}
