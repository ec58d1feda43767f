package store

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// Usage is what is in a store and what space it takes. Layers are counted with the numbers that were written down when they
// were unpacked; a writable layer, and what a dead process left, is measured up to measureLimit entries.
type Usage struct {
	Data     Place        `json:"data"`   // where images and records are
	Layers   Place        `json:"layers"` // where all the rest is
	Images   []ImageUsage `json:"images"`
	Loose    []LayerUsage `json:"loose_layers"` // that no stored image has
	Blobs    []BlobUsage  `json:"blobs"`        // kept, and partial
	Uppers   []UpperUsage `json:"uppers"`       // of live runs
	Kept     []KeptUsage  `json:"kept"`         // writable layers that runs name
	Records  Amount       `json:"records"`
	Runs     int          `json:"runs"` // that have a record
	Leftover []LeftUsage  `json:"leftovers"`

	Total       int64 `json:"total"`        // bytes of layers, each counted once, and of all the rest
	LayerBytes  int64 `json:"layer_bytes"`  // of the layers that images have, each counted once
	IdleBytes   int64 `json:"idle_bytes"`   // of those, in layers that only images without a live run have
	Reclaimable int64 `json:"reclaimable"`  // what `prune --all` would remove
	Layered     int   `json:"image_layers"` // layers that images have and that are here
}

// ImageUsage is an image and its share of the space.
type ImageUsage struct {
	Digest     digest.Digest `json:"digest"`
	References []string      `json:"references"`
	Bytes      int64         `json:"bytes"`  // of all its layers that are here
	Shared     int64         `json:"shared"` // of those that other images have, too
	Missing    int           `json:"missing_layers"`
	Runs       []string      `json:"runs"` // live ones
}

// BlobUsage is a blob, or a part of one.
type BlobUsage struct {
	blob.Blob
	Idle bool `json:"idle"` // no live run has an image with it, and no process is fetching it
}

// Place is a directory of the store and the file system that it is on.
type Place = host.Filesystem

// Amount is what a tree takes.
type Amount = fsx.Amount

// LayerUsage is one layer.
type LayerUsage struct {
	Digest digest.Digest `json:"digest"`
	Bytes  int64         `json:"bytes"`
	InUse  bool          `json:"in_use"`
}

// UpperUsage is what a live run has written.
type UpperUsage struct {
	ID  string `json:"id"`
	Run string `json:"run"` // its name, or its id
	// Shared: it is that of several runs, which have one each besides.
	Shared bool   `json:"shared,omitempty"`
	Image  string `json:"image"`
	Amount
}

// LeftUsage is something that nobody owns any more.
type LeftUsage struct {
	Path string `json:"path"`
	Amount
}

// measureLimit is how many entries of one tree are looked at.
const measureLimit = 20_000

// Usage adds up what is in the store.
func (s *Store) Usage() (Usage, error) {
	u := Usage{Images: []ImageUsage{}, Loose: []LayerUsage{}, Uppers: []UpperUsage{}, Kept: []KeptUsage{}, Leftover: []LeftUsage{}}
	var errs [9]error
	u.Data, errs[0] = host.StatFilesystem(s.dirs.Data)
	u.Layers, errs[1] = host.StatFilesystem(s.dirs.Layers)
	errs[2] = s.imageUsage(&u)
	errs[3] = s.looseUsage(&u)
	errs[4] = s.blobUsage(&u)
	errs[5] = s.upperUsage(&u)
	errs[6] = s.leftUsage(&u)
	errs[7] = s.recordUsage(&u)
	errs[8] = s.keptUsage(&u)
	u.Reclaimable += u.IdleBytes
	u.Total += u.LayerBytes + u.Records.Bytes
	return u, errors.Join(errs[:]...)
}

// imageUsage counts images and their layers.
func (s *Store) imageUsage(u *Usage) error {
	images, err := s.Images()
	if err != nil {
		return err
	}
	live, err := s.liveImages()
	if err != nil {
		return err
	}
	at := map[digest.Digest]int{}
	owners := map[digest.Digest]int{} // of a layer: how many images
	active := map[digest.Digest]bool{}
	distinct := func(img Image) []digest.Digest { return slices.Compact(slices.Sorted(slices.Values(img.Layers()))) }
	for _, img := range images {
		if i, ok := at[img.Digest]; ok {
			u.Images[i].References = append(u.Images[i].References, img.Ref)
			continue
		}
		at[img.Digest] = len(u.Images)
		usage := ImageUsage{Digest: img.Digest, References: []string{}, Runs: append([]string{}, live[img.Digest]...)}
		if img.Ref != "" {
			usage.References = append(usage.References, img.Ref)
		}
		u.Images = append(u.Images, usage)
		for _, d := range distinct(img) {
			owners[d]++
			active[d] = active[d] || len(usage.Runs) > 0
		}
	}
	for _, img := range images {
		i, first := at[img.Digest]
		if !first {
			continue
		}
		delete(at, img.Digest) // once, whatever its names
		for _, d := range distinct(img) {
			bytes, _ := s.treesOf(d)
			if !s.HasLayer(d) {
				u.Images[i].Missing++
			}
			u.Images[i].Bytes += bytes
			if owners[d] > 1 {
				u.Images[i].Shared += bytes
			}
		}
	}
	for d := range owners {
		bytes, written := s.treesOf(d)
		if !written.IsZero() {
			u.Layered++
		}
		u.LayerBytes += bytes
		if !active[d] {
			u.IdleBytes += bytes
		}
	}
	return nil
}

// looseUsage counts the layers that no image has.
func (s *Store) looseUsage(u *Usage) error {
	used, err := s.usedByImages(nil)
	if err != nil {
		return err
	}
	stored, err := s.storedLayers()
	if err != nil {
		return err
	}
	for _, d := range stored {
		if used[d] {
			continue
		}
		bytes, _ := s.treesOf(d)
		inUse, err := s.inUse(d)
		if err != nil {
			return err
		}
		u.Loose = append(u.Loose, LayerUsage{Digest: d, Bytes: bytes, InUse: inUse})
		u.Total += bytes
		if !inUse {
			u.Reclaimable += bytes
		}
	}
	return nil
}

func (s *Store) blobUsage(u *Usage) error {
	idle := map[digest.Digest]bool{}
	for _, img := range u.Images {
		idle[img.Digest] = len(img.Runs) == 0
	}
	active, err := s.usedByImages(idle)
	if err != nil {
		return err
	}
	blobs, err := s.Blobs().List()
	u.Blobs = []BlobUsage{}
	for _, b := range blobs {
		idle := !active[b.Digest]
		if b.Partial {
			busy, err := s.Blobs().Fetching(b.Digest)
			idle = err == nil && !busy
		}
		u.Blobs = append(u.Blobs, BlobUsage{Blob: b, Idle: idle})
		u.Total += b.Size
		if idle {
			u.Reclaimable += b.Size
		}
	}
	return err
}

func (s *Store) upperUsage(u *Usage) error {
	ids, err := os.ReadDir(s.upperDir())
	if err != nil {
		return err
	}
	for _, id := range ids {
		dir := filepath.Join(s.upperDir(), id.Name())
		lease, dead, err := judgeUpper(dir)
		if err != nil || dead || lease.Created.IsZero() {
			continue // counted with what is left, or gone
		}
		used := fsx.Measure(filepath.Join(dir, "fs"), measureLimit)
		used.Add(fsx.Measure(filepath.Join(dir, "extra"), measureLimit))
		u.Uppers = append(u.Uppers, UpperUsage{ID: id.Name(), Run: lease.label(), Shared: lease.Run == "", Image: lease.Image, Amount: used})
		u.Total += used.Bytes
	}
	slices.SortFunc(u.Uppers, func(a, b UpperUsage) int { return cmp.Compare(a.ID, b.ID) })
	return nil
}

func (s *Store) leftUsage(u *Usage) error {
	remains, err := s.remains()
	for _, r := range remains {
		used := fsx.Measure(r.path, measureLimit)
		u.Leftover = append(u.Leftover, LeftUsage{Path: r.path, Amount: used})
		u.Total += used.Bytes
		u.Reclaimable += used.Bytes
	}
	return err
}

func (s *Store) recordUsage(u *Usage) error {
	dir := filepath.Join(s.dirs.Data, "runs")
	runs, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	u.Runs = len(runs)
	u.Records = fsx.Measure(dir, measureLimit)
	return err
}
