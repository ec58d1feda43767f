package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/seal"
)

// CheckOptions say how close Check looks. The zero value reads every name, and the content of blobs and manifests alone.
type CheckOptions struct {
	Repair   bool // take away what is damaged, and seal what is not sealed yet
	ReadData bool // read the content of all files of layers, too
}

// Checked says what Check has found.
type Checked struct {
	Images     int       `json:"images"`
	References int       `json:"references"`
	Layers     int       `json:"layers"`
	Entries    int64     `json:"entries"` // of layers
	Blobs      int       `json:"blobs"`
	Unsealed   int       `json:"unsealed"` // layers whose files cannot be compared with anything yet
	Problems   []Problem `json:"problems"`
}

// Damage reports how many problems are left.
func (c Checked) Damage() (left int) {
	for _, p := range c.Problems {
		if !p.Repaired {
			left++
		}
	}
	return left
}

// Problem is one thing that is not as it was stored.
type Problem struct {
	Kind     string `json:"kind"` // image, reference, layer, stack, blob or store
	Name     string `json:"name"` // a digest, a reference or a path
	Problem  string `json:"problem"`
	Repaired bool   `json:"repaired"` // it is out of the way: what is asked for again is fetched again
}

// Check compares what is in the store with what was stored: manifests, configurations and blobs with their digests,
// references with the images they mean, the files of each layer, and of the trees merged of several, with their seals and with
// what no layer may hold (files of others, set-id files, device nodes). Layers may come and go while it looks.
func (s *Store) Check(ctx context.Context, o CheckOptions) (_ Checked, err error) {
	unlock, err := s.lockRemoval(ctx)
	if err != nil {
		return Checked{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	c := &checker{Store: s, options: o, found: Checked{Problems: []Problem{}}}
	var errs []error
	for _, step := range []func(context.Context) error{c.images, c.references, c.layers, c.stacks, c.blobs} {
		errs = append(errs, step(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return c.found, fmt.Errorf("checking: %w", err)
	}
	return c.found, nil
}

// checker is one call of Check.
type checker struct {
	*Store
	options CheckOptions
	found   Checked
	exposed bool // others may look into the layers
	open    bool // a file they could change was found there
	whole   []digest.Digest
}

// problem notes a problem and repairs it if that is asked for.
func (c *checker) problem(kind, name, what string, repair func() error) error {
	p := Problem{Kind: kind, Name: name, Problem: what}
	var err error
	if c.options.Repair {
		err = repair()
		p.Repaired = err == nil
	}
	c.found.Problems = append(c.found.Problems, p)
	return err
}

// images reads all manifests and configurations.
func (c *checker) images(context.Context) error {
	stored, err := c.storedImages()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range stored {
		c.found.Images++
		_, err := c.readImage(d)
		if _, gone := os.Lstat(c.imageDir(d)); err == nil || errors.Is(gone, fs.ErrNotExist) {
			continue
		}
		errs = append(errs, c.problem("image", d.String(), err.Error(), func() error {
			_, err := c.roots.Discard(c.imageDir(d), c.dataTmp())
			return err
		}))
	}
	return errors.Join(errs...)
}

// references looks whether what references mean is there.
func (c *checker) references(context.Context) error {
	files, err := os.ReadDir(c.refsDir())
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		path := filepath.Join(c.refsDir(), f.Name())
		c.found.References++
		if name, what := c.reference(path); what != "" {
			errs = append(errs, c.problem("reference", name, what, func() error { return fsx.Remove(path) }))
		}
	}
	return errors.Join(errs...)
}

// checkPatience is how long Check believes that somebody is at work on what looks damaged: Put writes an image anew that was
// removed while it wrote the reference.
const checkPatience, checkPause = 2 * time.Second, 50 * time.Millisecond

// reference judges the file of a reference.
func (c *checker) reference(path string) (name, problem string) {
	for deadline := time.Now().Add(checkPatience); ; time.Sleep(checkPause) {
		t, err := readTag(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", ""
		case err != nil:
			return filepath.Base(path), "its file is damaged"
		case c.refFile(t.Ref) != path:
			return t.Ref, "its file has the wrong name"
		}
		if _, err := os.Lstat(c.imageDir(t.Digest)); !errors.Is(err, fs.ErrNotExist) {
			return "", "" // a damaged image has been told of
		}
		if time.Now().After(deadline) {
			return t.Ref, fmt.Sprintf("the image that it means is not stored: %s", t.Digest)
		}
	}
}

// layers looks at all trees of all layers.
func (c *checker) layers(ctx context.Context) error {
	c.exposed = c.reachable()
	stored, err := c.storedLayers()
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range stored {
		trees, err := os.ReadDir(c.treesDir(d))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, tree := range trees {
			if isDelta(tree.Name()) {
				errs = append(errs, c.delta(d, filepath.Join(c.treesDir(d), tree.Name())))
			} else if tree.IsDir() {
				errs = append(errs, c.layer(ctx, d, filepath.Join(c.treesDir(d), tree.Name())))
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	if c.options.Repair && ctx.Err() == nil {
		errs = append(errs, c.Settle(c.whole...))
	}
	if c.open {
		errs = append(errs, c.problem("store", c.layersDir(), "other users can reach it, and change files of layers in it", func() error {
			return os.Chmod(c.layersDir(), 0o700)
		}))
	}
	return errors.Join(errs...)
}

// reachable reports whether others may come to the trees.
func (c *checker) reachable() bool {
	for dir := c.layersDir(); len(dir) >= len(c.dirs.Layers); dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm()&0o011 == 0 {
			return false
		}
	}
	return true
}

// layer looks at one tree.
func (c *checker) layer(ctx context.Context, d digest.Digest, dir string) error {
	c.found.Layers++
	problem, err := c.examine(ctx, d, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, gone := os.Lstat(dir); errors.Is(gone, fs.ErrNotExist) {
		return nil // it has been removed meanwhile
	}
	if problem == "" && err == nil {
		c.whole = append(c.whole, d)
		return nil
	}
	if problem == "" {
		problem = "it is not whole: " + err.Error()
	}
	return c.problem("layer", d.String(), problem, func() error {
		err := c.retire(d, dir)
		_ = os.Remove(c.treesDir(d)) // unless another tree of the layer is there
		return err
	})
}

// examine says what is wrong with a tree, if anything is.
func (c *checker) examine(ctx context.Context, d digest.Digest, dir string) (problem string, err error) {
	layer, err := c.readLayer(dir)
	if err != nil {
		return "", err
	}
	if layer.Digest != d || string(layer.IDMap) != filepath.Base(dir) {
		return fmt.Sprintf("it describes itself as %s, %s", layer.Digest, layer.IDMap), nil
	}
	now, problems, err := survey(ctx, dir, seal.Options{Contents: c.options.ReadData, Object: c.object})
	c.found.Entries += now.Entries
	if err != nil {
		return "", err
	}
	if problems != nil {
		return strings.Join(problems, ", "), nil
	}
	was, err := readSeal(dir)
	switch unsealed := errors.Is(err, fs.ErrNotExist); {
	case err != nil && !unsealed:
		return "its seal is damaged", nil
	case unsealed && !c.options.Repair:
		c.found.Unsealed++
		return "", nil
	case unsealed:
		return "", c.writeSeal(dir, now)
	}
	if problem := was.Differs(now); problem != "" {
		return problem, nil
	}
	if c.options.Repair && (was.Contents == "" && now.Contents != "" || was.Owners != now.Owners) {
		now.Contents = cmp.Or(now.Contents, was.Contents)
		return "", c.writeSeal(dir, now)
	}
	return "", nil
}

// object says why an entry must not be in a tree.
func (c *checker) object(_ string, st *unix.Stat_t) string {
	kind := st.Mode & unix.S_IFMT
	if int(st.Uid) != os.Geteuid() {
		return "belongs to another user"
	}
	if why := forbidden(st.Mode, st.Rdev); why != "" {
		return why
	}
	if c.exposed && (kind == unix.S_IFREG || kind == unix.S_IFDIR) && st.Mode&0o022 != 0 {
		c.open = true
	}
	return ""
}

// blobs hashes all kept blobs.
func (c *checker) blobs(ctx context.Context) error {
	blobs, err := c.Blobs().List()
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range blobs {
		if b.Partial {
			continue
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		c.found.Blobs++
		ok, err := c.Blobs().Verify(b.Digest)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err == nil && ok {
			continue
		}
		problem := "it does not have this digest"
		if err != nil {
			problem = err.Error()
		}
		errs = append(errs, c.problem("blob", b.Digest.String(), problem, func() error { return c.Blobs().Remove(b.Digest) }))
	}
	return errors.Join(errs...)
}
