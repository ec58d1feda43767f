package store

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/store/blob"
)

// Names inside a layer's directory.
const (
	eldestName = "eldest"
	treeName   = "fs"
	ownersName = "owners.jsonl"
	layerName  = "layer.json"
	sealName   = "seal.json"
	syncedName = "synced"
)

// Layer describes an unpacked layer: layer.json.
type Layer struct {
	Digest    digest.Digest `json:"digest"`     // of the compressed form, the layer's key
	IDMap     IDMap         `json:"id_map"`     // the other part of the key
	DiffID    digest.Digest `json:"diff_id"`    // of the uncompressed form
	MediaType string        `json:"media_type"` // as the manifest names it
	Size      int64         `json:"size"`       // bytes, compressed
	Unpacked  int64         `json:"unpacked"`   // bytes of file content in the tree
	Entries   int64         `json:"entries"`
	Dropped   int64         `json:"dropped"` // device nodes, extended attributes and the like that were left out
	Unpacker  host.Owner    `json:"unpacker"`
	Created   time.Time     `json:"created"`

	// Of a delta: when the flat tree was made that it belongs to, and the whole of its id map.
	Flat time.Time `json:"flat,omitzero"`
	Map  string    `json:"map,omitempty"`
}

// LayerDir is the directory with the tree of a layer, whether or not it is there: what overlayfs gets as a lower layer.
func (s *Store) LayerDir(d digest.Digest) string { return filepath.Join(s.layerDir(d), treeName) }

// HasLayer reports whether a layer is there and can be trusted.
func (s *Store) HasLayer(d digest.Digest) bool {
	_, err := s.Layer(d)
	return err == nil
}

// Layer describes a stored layer. The error is fs.ErrNotExist when it is not there, is being removed, or is not to be
// trusted: a power cut may have damaged it, or something has removed files of it. That costs three looks, whatever the size
// of the layer; Check takes a closer one.
func (s *Store) Layer(d digest.Digest) (Layer, error) {
	if err := blob.CheckDigest(d); err != nil {
		return Layer{}, err
	}
	layer, err := s.readLayer(s.layerDir(d))
	if err == nil && s.leaves(d) {
		err = fmt.Errorf("it is being removed: %w", fs.ErrNotExist)
	}
	if err != nil {
		return Layer{}, err
	}
	return layer, nil
}

// readLayer reads and judges one tree of a layer.
func (s *Store) readLayer(dir string) (Layer, error) {
	layer, err := describeLayer(dir)
	if err != nil {
		return Layer{}, err
	}
	if err := checkWhole(dir); err != nil {
		return Layer{}, err
	}
	if layer.Unpacker.BootID == s.self.BootID {
		return layer, nil
	}
	// Whatever host it names: this one may have had another name before the restart.
	if _, err := os.Stat(filepath.Join(dir, syncedName)); err != nil {
		return Layer{}, fmt.Errorf("written in another boot and not known to have reached the disk: %w", err)
	}
	return layer, nil
}

// describeLayer reads what a tree says of itself.
func describeLayer(dir string) (layer Layer, err error) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, layerName), mostOfFile)
	if err != nil {
		return Layer{}, err
	}
	if err := json.Unmarshal(raw, &layer); err != nil {
		return Layer{}, fmt.Errorf("damaged (%w): %w", err, fs.ErrNotExist)
	}
	return layer, nil
}

// Staging is a layer that is being made. Nobody else sees it before Commit. Exactly one of Commit and Abort takes effect;
// either may be called again.
type Staging struct {
	store  *Store
	digest digest.Digest
	idMap  IDMap
	dir    string

	once sync.Once
	err  error // of Commit
}

// BeginLayer makes an empty tree for a layer. If the process dies, Reclaim removes it. Its errors, and those of Commit, do
// not name the layer: the caller does.
func (s *Store) BeginLayer(d digest.Digest) (*Staging, error) {
	if err := blob.CheckDigest(d); err != nil {
		return nil, err
	}
	dir, err := fsx.TempDir(s.tmp())
	if err != nil {
		return nil, fmt.Errorf("making a directory to unpack into: %w", err)
	}
	err = makeEldest(filepath.Join(dir, eldestName))
	if err == nil {
		err = fsx.Mkdir(filepath.Join(dir, treeName), 0o755)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a directory to unpack into: %w", err), fsx.RemoveAll(dir))
	}
	return &Staging{store: s, digest: d, idMap: s.idMap, dir: dir}, nil
}

// makeEldest makes the file that ages before all others of a layer. Cleaners of old files go by the dates of access and
// change of content, which unpacked files have from their archive, or by that of the last change of any kind, which is when
// they were unpacked. The first two are as old here as dates can be, and the third is older than all that follows.
func makeEldest(path string) error {
	f, err := fsx.CreateExclusive(path, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
}

// FS is the directory to unpack into.
func (t *Staging) FS() string { return filepath.Join(t.dir, treeName) }

// OwnersFile is the file to write original owners and modes to.
func (t *Staging) OwnersFile() string { return filepath.Join(t.dir, ownersName) }

// Commit publishes the tree as the layer's. The caller has verified both digests of layer. If another process published
// the same layer meanwhile, that one stays and this tree is removed: both came from the same bytes.
func (t *Staging) Commit(layer Layer) error {
	t.once.Do(func() {
		if t.err = t.commit(layer); t.err != nil {
			t.err = errors.Join(t.err, t.store.roots.RemoveAll(t.dir))
		}
	})
	return t.err
}

// Abort removes the tree. After Commit, whether that worked or not, it does nothing and returns nil, so that it can be
// deferred.
func (t *Staging) Abort() (err error) {
	t.once.Do(func() {
		t.err = errors.New("publishing: given up before")
		err = t.store.roots.RemoveAll(t.dir)
	})
	return err
}

func (t *Staging) commit(layer Layer) error {
	if layer.Digest != t.digest {
		return fmt.Errorf("publishing: %s is described as %s", t.digest, layer.Digest)
	}
	if err := blob.CheckDigest(layer.DiffID); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	layer.IDMap = t.idMap
	layer.Unpacker = t.store.self
	layer.Created = time.Now().UTC()
	raw, err := json.MarshalIndent(layer, "", "  ")
	if err != nil {
		return err
	}
	if err := fsx.WriteFile(filepath.Join(t.dir, layerName), raw, 0o600); err != nil {
		return err
	}
	if err := checkWhole(t.dir); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := t.publish(); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// publishAttempts bounds how often others may come between when a layer is published.
const publishAttempts = 10

// publish renames the tree into place. What is there already wins, unless it is not to be trusted.
func (t *Staging) publish() error {
	target := t.store.treeDir(t.digest, t.idMap)
	var err error
	for range publishAttempts {
		if err := fsx.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		err = fsx.Rename(t.dir, target)
		switch {
		case errors.Is(err, fs.ErrNotExist) && checkWhole(t.dir) == nil:
			continue // the directory above went with the layer that was removed from it
		case !fsx.IsNotEmpty(err):
			return err
		case t.store.hasTree(t.digest, t.idMap):
			return t.store.roots.RemoveAll(t.dir)
		}
		if err := t.store.retire(t.digest, target); err != nil {
			return err
		}
	}
	return err
}

// retire takes away a tree that is not to be trusted. A run that began to use it when it still was keeps it, in the
// directory of the retired, until Reclaim finds that no run holds the layer.
func (s *Store) retire(d digest.Digest, dir string) error {
	err := s.retireTree(d, dir)
	if err != nil || filepath.Base(dir) != string(s.idMap) {
		return err
	}
	return s.dropStacksOf(d, true)
}

func (s *Store) retireTree(d digest.Digest, dir string) error {
	leased, err := s.leased(d)
	if err != nil {
		return err
	}
	if !leased {
		_, err = s.roots.Discard(dir, s.tmp())
		return err
	}
	return fsx.IgnoreMissing(fsx.Rename(dir, filepath.Join(s.retiredDir(), d.Encoded()+"."+rand.Text())))
}
