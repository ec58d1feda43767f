// Package imageset is the images that pulls are measured with: two real ones (package mlimage), one of them also with zstd
// layers, and some that are made up, of the shapes that are hard to pull fast. Each is an OCI image layout in the test
// cache, which every user may read. What is made up comes from a seed: the same on each machine, without a network.
package imageset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/test/layout"
	"github.com/coracle-run/coracle/test/mlimage"
)

// ErrMissing says that an image is not in the cache and that this user cannot make it.
var ErrMissing = errors.New("the image is not built")

// A Set is one image.
type Set struct {
	Name, About string

	locate func() (string, error)
	build  func(ctx context.Context, dir string, log io.Writer) error
}

// All are the images, in the order in which they are measured.
func All() []Set {
	sets := []Set{
		{Name: "ml", About: "Debian, Python and scikit-learn", locate: mlimage.Small.Find, build: ensure(mlimage.Small)},
		{Name: "mlbig", About: "Debian, numpy, scikit-learn, pandas, torch and weights", locate: mlimage.Large.Find, build: ensure(mlimage.Large)},
		{Name: "zstd", About: "mlbig (else ml) with zstd layers", locate: findZstd, build: buildZstd},
	}
	for _, s := range shapes {
		sets = append(sets, s.set())
	}
	return sets
}

// Named are the sets of a comma-separated list, or all of "all".
func Named(list string) (chosen []Set, err error) {
	all := All()
	if list == "all" {
		return all, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(s Set) bool { return s.Name == name })
		if i < 0 {
			var names []string
			for _, s := range all {
				names = append(names, s.Name)
			}
			return nil, fmt.Errorf("no image called %q; there are %s, and all", name, strings.Join(names, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Find is the layout's directory, or an error that wraps [ErrMissing].
func (s Set) Find() (string, error) {
	dir, err := s.locate()
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Name, errors.Join(ErrMissing, err))
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return "", fmt.Errorf("%s: %w", s.Name, errors.Join(ErrMissing, err))
	}
	return dir, nil
}

// Ensure is Find, after making the image and counting what is in it where that is missing and the cache may be written.
// Processes that want the same image wait for the one that makes it.
func (s Set) Ensure(ctx context.Context, log io.Writer) (string, error) {
	dir, err := s.Find()
	if err != nil {
		if dir, err = s.make(ctx, log); err != nil {
			return "", fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return dir, keepContents(dir)
}

func (s Set) make(ctx context.Context, log io.Writer) (_ string, err error) {
	cache := mlimage.Cache()
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := fsx.Lock(ctx, filepath.Join(cache, "imageset-"+s.Name+".lock"))
	if err != nil {
		return "", errors.Join(ErrMissing, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if dir, err := s.Find(); err == nil {
		return dir, nil
	}
	_, _ = fmt.Fprintf(log, "imageset: making %s in %s\n", s.Name, cache)
	work, err := os.MkdirTemp(cache, ".build-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := s.build(ctx, filepath.Join(work, "oci"), log); err != nil {
		return "", err
	}
	dir, err := s.locate()
	if err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(work, "oci"), dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err // a builder that knows its place has put it there
	}
	return s.Find()
}

// ensure is mlimage's own way of building.
func ensure(v mlimage.Variant) func(context.Context, string, io.Writer) error {
	return func(ctx context.Context, _ string, log io.Writer) error {
		_, err := v.Ensure(ctx, log)
		return err
	}
}

// place is where the image lies that a name and what it is made of stand for.
func place(name string, of ...string) string {
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s %q\n", layout.Format, of) // a hash takes everything
	return filepath.Join(mlimage.Cache(), "imageset-"+name+"-"+hex.EncodeToString(hash.Sum(nil))[:12])
}
