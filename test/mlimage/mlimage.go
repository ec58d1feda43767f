// Package mlimage is a real machine-learning image for tests: Debian bookworm, Python and scikit-learn, built from Debian's
// packages with debootstrap, one gzip layer for each step, about 290 MB compressed. scikit-learn ships the digits data set,
// so that a real training job needs no download.
//
// Building takes root, Debian's mirror and a minute or two. The result, an OCI image layout, stays in a cache that every user may
// read; its name carries a hash of this package's sources, so that a change here makes a new image.
package mlimage

import (
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
	"strings"
	"time"
)

// ErrMissing says that the image is not in the cache and that this user cannot build it.
var ErrMissing = errors.New("the machine-learning image is not built; `make mlimage`, as root, builds it")

// cacheEnv names the cache directory, in place of /var/cache/coracle-test.
const cacheEnv = "CORACLE_TEST_CACHE"

//go:embed mlimage.go build_linux.go layer_linux.go layout.go step.sh
var sources embed.FS

// Find is the OCI image layout's directory, or an error that wraps [ErrMissing]. The layout holds one image.
func Find() (string, error) {
	dir, err := location()
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
func Ensure(ctx context.Context, log io.Writer) (string, error) {
	if dir, err := Find(); err == nil || os.Geteuid() != 0 {
		return dir, err
	}
	dir, err := location()
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
	if dir, err := Find(); err == nil {
		return dir, nil
	}
	if err := build(ctx, dir, log); err != nil {
		return "", fmt.Errorf("building the machine-learning image: %w", err)
	}
	return dir, forget(filepath.Dir(dir), time.Now().Add(-14*24*time.Hour))
}

// forget removes the images that former sources made before the given time, and builds that were killed.
func forget(cache string, before time.Time) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ours := strings.HasPrefix(e.Name(), "mlimage-") || strings.HasPrefix(e.Name(), ".build-")
		info, infoErr := e.Info()
		if ours && infoErr == nil && info.ModTime().Before(before) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(cache, e.Name())))
		}
	}
	return err
}

func location() (string, error) {
	cache := os.Getenv(cacheEnv)
	if cache == "" {
		cache = "/var/cache/coracle-test"
	}
	id, err := key()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "mlimage-"+runtime.GOARCH+"-"+id), nil
}

// key is a short hash of the sources that make the image.
func key() (string, error) {
	hash := sha256.New()
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
