// Package mlimage is real machine-learning images, built from Debian's packages with debootstrap, one gzip layer for each
// step: [Small] for tests, whose scikit-learn ships the digits data set, so that a real training job needs no download, and
// [Large] for benchmarks.
//
// Building takes root, Debian's mirror and a minute or two, the large one some minutes. The result, an OCI image layout, stays
// in a cache that every user may read; its name carries a hash of this package's sources, so that a change here makes a new image.
package mlimage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/test/layout"
)

// ErrMissing says that the image is not in the cache and that this user cannot build it.
var ErrMissing = errors.New("the machine-learning image is not built; `make mlimage`, as root, builds it")

// cacheEnv names the cache directory, in place of /var/cache/coracle-test.
const cacheEnv = "CORACLE_TEST_CACHE"

//go:embed build_linux.go layer_linux.go step.sh weights.go
var sources embed.FS

// Find is the OCI image layout's directory, or an error that wraps [ErrMissing]. The layout holds one image.
func (v Variant) Find() (string, error) {
	dir, err := v.location()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return "", fmt.Errorf("%w (%s)", ErrMissing, dir)
	}
	return dir, nil
}

// Ensure is Find, after building the image when it is missing. The builder's output goes to log. Processes that want the
// same image wait for the one that builds it.
func (v Variant) Ensure(ctx context.Context, log io.Writer) (string, error) {
	if dir, err := v.Find(); err == nil || os.Geteuid() != 0 {
		return dir, err
	}
	dir, err := v.location()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if dir, err := v.Find(); err == nil {
		return dir, nil
	}
	if err := v.build(ctx, dir, log); err != nil {
		return "", fmt.Errorf("building the machine-learning image: %w", err)
	}
	return dir, Forget(filepath.Dir(dir), time.Now().Add(-14*24*time.Hour))
}

// Forget removes images that were made before the given time, most of them by former sources, and builds that were killed.
// Those of package imageset and the nodes of test/vm lie here, too.
func Forget(cache string, before time.Time) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		kind, _, _ := strings.Cut(e.Name(), "-")
		ours := slices.Contains([]string{"mlimage", "imageset", "node", ".build"}, kind)
		info, infoErr := e.Info()
		if ours && infoErr == nil && info.ModTime().Before(before) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(cache, e.Name())))
		}
	}
	return err
}

// Cache is the directory that test images are kept in.
func Cache() string { return cmp.Or(os.Getenv(cacheEnv), "/var/cache/coracle-test") }

func (v Variant) location() (string, error) {
	id, err := v.key()
	if err != nil {
		return "", err
	}
	return filepath.Join(Cache(), v.prefix()+runtime.GOARCH+"-"+id), nil
}

// key is a short hash of what makes the image: the sources, and the variant.
func (v Variant) key() (string, error) {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s %q %+v\n", layout.Format, v.steps, v.config) // a hash takes everything
	err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := sources.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(hash, "%s %d\n%s", path, len(raw), raw)
		return err
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
