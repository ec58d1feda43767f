package pull

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/go-units"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
)

// What layers unpack to, per byte of the blob. A manifest does not say it, and what a gzip stream says of itself at its end
// (modulo 4 GiB, and of its last member only) is not to be relied on. Compression leaves no less than it began with; of the
// images people use few layers grow more than four times (Debian with PyTorch 2.1 times, CUDA 2.2, Python 2.6).
const (
	usualGrowth = 2.5
	mostGrowth  = 4

	usualFiles = 50 // a MiB of the blob
	mostFiles  = 400
	leastFiles = 6 // of any layer: the files of the store

	maxSize = 1 << 50 // of a blob: what says more says nothing, and sums stay sums
)

// ErrNoSpace means that an image cannot fit where layers are kept. The error is a *SpaceError.
var ErrNoSpace = errors.New("the image does not fit")

// Need is an estimate: at least, most likely, at most.
type Need struct{ Least, Usual, Most int64 }

// SpaceError says what an image needs and what there is. It is an ErrNoSpace and an ErrDiskFull.
type SpaceError struct {
	Dir    string
	Bytes  Need
	Free   int64
	Inodes Need
	Left   int64 // inodes; of a file system without a limit as many as anybody may need
}

// Error implements error.
func (e *SpaceError) Error() string { return fmt.Sprintf("%v: %s", ErrNoSpace, e.Numbers()) }

// Numbers says what is short.
func (e *SpaceError) Numbers() string {
	if e.Free < e.Bytes.Least || e.Free < e.Bytes.Most && e.Left >= e.Inodes.Most {
		return fmt.Sprintf("it needs at least %s (probably %s, at most %s) in %s, where %s are free",
			size(e.Bytes.Least), size(e.Bytes.Usual), size(e.Bytes.Most), e.Dir, size(e.Free))
	}
	return fmt.Sprintf("it needs at least %d inodes (probably %d, at most %d) in %s, where %d are free",
		e.Inodes.Least, e.Inodes.Usual, e.Inodes.Most, e.Dir, e.Left)
}

func size(bytes int64) string { return units.HumanSizeWithPrecision(float64(bytes), 3) }

// Is makes the error an ErrNoSpace and an ErrDiskFull.
func (e *SpaceError) Is(target error) bool { return target == ErrNoSpace || target == ErrDiskFull }

// Hint says what to do next.
func (e *SpaceError) Hint() string { return roomHint }

const roomHint = "make room with 'coracle prune', or keep layers on another disk with --layers DIR"

// Cannot reports whether even the least does not fit.
func (e *SpaceError) Cannot() bool { return e.Free < e.Bytes.Least || e.Left < e.Inodes.Least }

// MayNot reports whether the most does not fit.
func (e *SpaceError) MayNot() bool { return e.Free < e.Bytes.Most || e.Left < e.Inodes.Most }

// Estimate says what the layers of an image that are missing take when they are pulled from a source, and what there is; nil when none
// are missing. Without a source they are unpacked from where they lie.
func Estimate(st *store.Store, src Source, layers []ocispec.Descriptor) (*SpaceError, error) {
	p := &puller{store: st, src: src, progress: silent{}, memory: divide(0, 0), fetch: newFetcher(src, Options{}, nil)}
	_, e, err := p.estimate(layers)
	return e, err
}

// space looks whether what is missing of an image fits, and refuses what cannot.
func (p *puller) space(layers []ocispec.Descriptor) error {
	missing, e, err := p.estimate(layers)
	switch {
	case err != nil:
		return err
	case e == nil:
		return nil
	case e.Cannot() && !slices.ContainsFunc(missing, p.fetchedElsewhere):
		return e
	case e.MayNot():
		p.progress.Note("the image may not fit: " + e.Numbers())
	}
	return nil
}

// estimate compares what is missing with what there is; nil when nothing is.
func (p *puller) estimate(layers []ocispec.Descriptor) (missing []ocispec.Descriptor, _ *SpaceError, err error) {
	var blobs []ocispec.Descriptor
	partial := map[string]int64{}
	stored, err := p.store.Blobs().List()
	if err != nil {
		return nil, nil, err
	}
	for _, b := range stored {
		partial[string(b.Digest)] = b.Size
	}
	for _, desc := range layers {
		desc.Size = min(desc.Size, maxSize)
		if !p.store.HasLayer(desc.Digest) {
			missing = append(missing, desc)
		}
		if desc.Size -= partial[string(desc.Digest)]; desc.Size > 0 && (p.keep || p.fetch.parallel() && !p.store.HasLayer(desc.Digest)) {
			blobs = append(blobs, desc)
		}
	}
	if len(missing) == 0 && len(blobs) == 0 {
		return nil, nil, nil
	}
	e, err := p.needs(missing, blobs)
	return missing, e, err
}

// fetchedElsewhere reports whether another process is bringing a layer, which has some of the room it takes already.
func (p *puller) fetchedElsewhere(desc ocispec.Descriptor) bool { return p.store.IsLocked(desc.Digest) }

// needs compares what layers and blobs take with what there is.
func (p *puller) needs(missing, blobs []ocispec.Descriptor) (*SpaceError, error) {
	dir := p.store.Dirs().Layers
	fs, err := host.StatFilesystem(dir)
	if err != nil {
		return nil, err
	}
	e := &SpaceError{Dir: dir, Free: fs.Free, Left: fs.InodesFree}
	for _, desc := range missing {
		e.Bytes.add(grown(desc))
		files := desc.Size >> 20
		e.Inodes.add(Need{leastFiles, leastFiles + files*usualFiles, leastFiles + files*mostFiles})
	}
	// Blobs that are not kept go with their layers: the largest that are unpacked at once are there at once, and a few ahead.
	slices.SortFunc(blobs, func(a, b ocispec.Descriptor) int { return cmp.Compare(b.Size, a.Size) })
	var ahead int64
	for n, desc := range blobs {
		switch {
		case p.keep:
			e.Bytes.add(Need{desc.Size, desc.Size, desc.Size})
		case n < p.memory.layers:
			e.Bytes.add(Need{0, desc.Size, desc.Size})
		default:
			ahead = min(ahead+desc.Size, aheadBytes)
		}
	}
	e.Bytes.add(Need{0, ahead, ahead})
	if fs.Inodes == 0 {
		e.Left = e.Inodes.Most
	}
	return e, nil
}

// grown is what a layer unpacks to.
func grown(desc ocispec.Descriptor) Need {
	n := float64(desc.Size)
	if c, ok := registry.LayerCompression(desc.MediaType); ok && c == registry.Plain {
		return Need{0, desc.Size, desc.Size} // with its headers, and perhaps with nothing but headers
	}
	return Need{desc.Size, int64(n * usualGrowth), int64(n * mostGrowth)}
}

func (n *Need) add(more Need) {
	n.Least += more.Least
	n.Usual += more.Usual
	n.Most += more.Most
}
