// Package store keeps images on disk: which reference means which manifest, one unpacked tree for each layer, and the
// writable layers of runs with the leases that protect what they use.
//
// # What is where
//
//	DATA/images/refs/<key>.json            a reference and the manifest it means; key is a hash of the reference
//	DATA/images/sha256/<hex>/              a manifest and its configuration, byte for byte as the registry sent them, and
//	                                       where they came from, and who has been told of it (Announce)
//	DATA/layer-roots/<host>                LAYERS of each host
//	DATA/runs, DATA/index                  the records of runs, and what lists keep of them (package record)
//	LAYERS/layers/sha256/<hex>/<idmap>/    one layer, keyed by the digest of its COMPRESSED form and by its id map:
//	    eldest                             an empty file, the first to be made and dated 1970: see "Aged" below
//	    fs/                                the tree, every file owned as the id map says, whiteouts in overlayfs's form
//	    owners.jsonl                       original owners and modes where the tree differs (package unpack)
//	    layer.json                         sizes, the digest of the uncompressed form, who wrote it in which boot
//	    seal.json                          a digest over names, types, modes, sizes, dates and links of the tree
//	    synced                             there once the tree is known to be on the disk
//	    plain                              there once it is known that all entries belong to 0:0
//	LAYERS/layers/sha256/<hex>/subuid-<hash>/   a delta: the entries of others than 0:0, given to subordinate ids (Delta)
//	LAYERS/layers/sha256/<hex>/leaving     a link that names the process that is removing the layer right now
//	LAYERS/layers/stacks/<hash>/           the layers of an image in fewer trees; <hash> is of their digests (stack.go):
//	    <from>-<to>/                       one tree of these layers, counted from 0: hard links to their files
//	    parts                              a link whose text says which trees and which layers there are
//	    stack.json, seals.json             of which layers' trees it was made, and what its trees are
//	    eldest, synced, leaving            as those of layers
//	LAYERS/layers/removals                 a byte for each layer that was removed (Keep)
//	LAYERS/retired/<hex>.<random>/         a tree that is not to be trusted any more and that a live run still uses
//	LAYERS/blobs/sha256/<hex>              a blob that is kept (package blob), with <hex>.unsynced beside it while nobody has
//	                                       made sure that it is on the disk
//	LAYERS/blobs/sha256/<hex>.partial      one that is being fetched, and <hex>.map, which says what of it is there (Partial)
//	LAYERS/upper/<run>/{lease.json,fs,work,extra}   a run's writable layer, and what else it writes
//	LAYERS/kept/<name>/                    a writable layer that runs name one after another (Upper.Keep):
//	    fs, work                           as an upper's; the latter is made anew for each run
//	    kept.json                          what it was made of: nothing else can be below it
//	    way                                how its root is made; without it, no job has begun in it
//	    holder.json                        which run has it, and which process mounts it; nobody, when these are dead
//	    eldest                             as those of layers
//	LAYERS/locks/                          locks; only hints that save work
//	DATA/tmp, LAYERS/tmp                   what is being made or removed, under names that say by whom (fsx.TempName)
//
// DATA and LAYERS may be one directory. DATA may be on a network file system, LAYERS must be able to hold overlay layers
// (location.Find decides).
//
// # What is promised
//
//   - Whole or absent. An image, a layer and an upper are made under LAYERS/tmp or DATA/tmp and appear by rename, so no
//     process ever finds a part of one, whenever the writer is killed. Two writers of one layer are harmless: the first
//     rename wins, the other drops its copy.
//   - Verified. The store publishes a layer or an image only with the digests its caller has verified, and checks a
//     manifest and a configuration again whenever it reads them.
//   - Durable without waiting. Layers are not synced file by file. A layer says in which boot it was written; one that does
//     not carry the mark "synced" and comes from another boot may have holes after a power cut, is not trusted, and is
//     fetched again. Settle writes the marks, and the seals with which Check compares the trees later.
//   - Used things stay. A run writes its lease, then looks for its layers; who removes a layer marks it as leaving, then
//     looks at the leases. Whichever comes second sees the other, so a layer never goes under a run. (The run need not look where
//     nothing has been counted between the mark and the leases since it found the image whole.) What a living process
//     has just unpacked stays as well, for the image that it is fetching. Remove refuses an image that a live run uses;
//     Prune and Check leave its layers. In the same way Put and the removal of an image cannot miss each other: a reference
//     never stays behind without its image.
//   - A merged tree shows what its layers show (package merge). It is of layers whose trees were here, and could be trusted, when it
//     appeared; whoever takes one of these away, or finds it damaged, takes the merged trees with it. Until then it needs them for
//     nothing.
//   - Aged, it is not used. Where LAYERS is in /var/tmp or a scratch file system, whatever removes old files there takes
//     "eldest" no later than any file of the tree, since none is older by any clock; a layer without it is not trusted.
//     While a run lives it holds a lock on LAYERS, below which systemd-tmpfiles(8) then ages nothing.
//   - Nothing to clean up by hand. What a dead process left (temporary trees, uppers) is removed by Reclaim, which anyone
//     may call at any time. Only a provably dead owner's things are touched. Prune removes what nobody needs.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store/beneath"
	"github.com/coracle-run/coracle/oci/store/blob"
	"github.com/coracle-run/coracle/oci/store/location"
)

// Store is an open store. It holds no open files and no state of its own; any number of processes and goroutines may have
// the same directories open.
type Store struct {
	dirs  location.Dirs
	self  host.Owner
	idMap IDMap // of the trees that are looked for and made

	roots  *beneath.Roots    // of dirs
	follow func(Lease) error // removes what else a dead run left; nil: there is nothing else
}

// IDMap says whom the files of a layer's tree belong to on disk. One layer may have a tree for each; those beside Flat are
// deltas (Delta).
type IDMap string

// Flat is the id map by which everything belongs to the caller.
const Flat IDMap = "flat"

// Open makes what is missing of a store's directories, mode 0700, and refuses directories that belong to somebody else or
// that others can write, and links in the place of those below its roots.
func Open(dirs location.Dirs) (*Store, error) {
	self, err := host.Self()
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s := newStore(dirs, self)
	for _, root := range []string{dirs.Data, dirs.Layers} {
		if !filepath.IsAbs(root) {
			return nil, fmt.Errorf("opening the store: %q is not an absolute path", root)
		}
		if err := location.Own(root); err != nil {
			return nil, fmt.Errorf("opening the store: %w", err)
		}
	}
	if err := s.makeOwn(); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s.makeRemovals()
	return s, nil
}

// Look is a store as it is, for looking: nothing of it is made that is missing.
func Look(dirs location.Dirs) (*Store, error) {
	self, err := host.Self()
	if err != nil {
		return nil, err
	}
	return newStore(dirs, self), nil
}

func newStore(dirs location.Dirs, self host.Owner) *Store {
	return &Store{dirs: dirs, self: self, idMap: Flat, roots: &beneath.Roots{Dirs: []string{dirs.Layers, dirs.Data}}}
}

// makeOwn makes the directories below the roots that are always there, and looks at those that may be: no link is in the place of one, for
// what is listed in them is removed.
func (s *Store) makeOwn() error {
	for _, dir := range []string{
		filepath.Dir(s.imagesDir()), s.refsDir(), s.imagesDir(), s.dataTmp(),
		filepath.Dir(s.layersDir()), s.layersDir(), s.retiredDir(), s.upperDir(), s.tmp(), s.locksDir(),
	} {
		if err := location.Make(dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{s.dirs.Memory(), s.stacksDir(), filepath.Dir(s.blobsDir()), s.blobsDir(), s.keptDir()} {
		if err := location.Check(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// RemoveForeign has f remove trees that hold files of the caller's subordinate ids, which the caller cannot remove. It is called
// before the store is used.
func (s *Store) RemoveForeign(f func(path string) error) { s.roots.Foreign = f }

// FollowDead has f remove what a dead run left outside of the store, by its lease or by that of a Mark, before Reclaim removes that. When
// f fails, the lease stays for the next time. It is called before the store is used.
func (s *Store) FollowDead(f func(Lease) error) { s.follow = f }

// mostOfFile is how long a file may be that is read into memory, far more than any that a store has: a job that has it among its volumes may
// have put something else there, with a name that leads elsewhere, or without an end.
const mostOfFile = 64 << 20

// Blobs are the blobs that are kept, and those that are being fetched.
func (s *Store) Blobs() *blob.Store { return blob.New(s.blobsDir(), s.tmp(), s.self.BootID, s.roots) }

// Dirs are the directories the store was opened with.
func (s *Store) Dirs() location.Dirs { return s.dirs }

const retiredName = "retired"

func (s *Store) refsDir() string    { return filepath.Join(s.dirs.Data, "images", "refs") }
func (s *Store) imagesDir() string  { return filepath.Join(s.dirs.Data, "images", "sha256") }
func (s *Store) dataTmp() string    { return filepath.Join(s.dirs.Data, "tmp") }
func (s *Store) layersDir() string  { return location.LayersDir(s.dirs.Layers) }
func (s *Store) retiredDir() string { return filepath.Join(s.dirs.Layers, retiredName) }
func (s *Store) blobsDir() string   { return filepath.Join(s.dirs.Layers, "blobs", "sha256") }
func (s *Store) upperDir() string   { return filepath.Join(s.dirs.Layers, "upper") }
func (s *Store) tmp() string        { return filepath.Join(s.dirs.Layers, "tmp") }
func (s *Store) locksDir() string   { return filepath.Join(s.dirs.Layers, "locks") }

// Branches are the directories between Data and Layers and where things are, as far as they are there.
func (s *Store) Branches() []string {
	var dirs []string
	for _, leaf := range []string{s.imagesDir(), s.layersDir(), s.blobsDir()} {
		if dir := filepath.Dir(leaf); isDir(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func (s *Store) imageDir(d digest.Digest) string { return filepath.Join(s.imagesDir(), d.Encoded()) }

// treesDir holds the trees of a layer, one for each id map; layerDir is the one of this store's.
func (s *Store) treesDir(d digest.Digest) string { return filepath.Join(s.layersDir(), d.Encoded()) }
func (s *Store) layerDir(d digest.Digest) string { return s.treeDir(d, s.idMap) }
func (s *Store) treeDir(d digest.Digest, m IDMap) string {
	return filepath.Join(s.treesDir(d), string(m))
}
