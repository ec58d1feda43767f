package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/seal"
)

// stacks looks at the merged trees. Their files are those of the layers, whose content has been looked at; here it is whether they are
// those, and whether all are there. A stack that is of no use any more is not damaged, and goes with --repair.
func (c *checker) stacks(ctx context.Context) error {
	return c.Store.stacks(func(dir string, note stackNote) error {
		if isMaking(dir) || ctx.Err() != nil {
			return ctx.Err()
		}
		drop := func() error { return c.dropStack(dir, note, true) }
		if stackKey(note.Layers) != filepath.Base(dir) || !c.current(note) {
			if !c.options.Repair {
				return nil
			}
			return drop()
		}
		problem, err := c.examineStack(ctx, dir)
		if _, gone := os.Lstat(dir); errors.Is(gone, fs.ErrNotExist) {
			return nil // it has been removed meanwhile
		}
		if problem == "" && err != nil && errors.Is(err, fs.ErrNotExist) {
			problem, err = "it is not whole: "+err.Error(), nil
		}
		if err != nil || problem == "" {
			return err
		}
		return c.problem("stack", filepath.Base(dir), problem, drop)
	})
}

// examineStack says what is wrong with the trees of a stack, if anything is.
func (c *checker) examineStack(ctx context.Context, dir string) (problem string, err error) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, sealsName), mostOfFile)
	if err != nil {
		return "", err
	}
	var seals map[string]seal.Seal
	if json.Unmarshal(raw, &seals) != nil {
		return "its seals are damaged", nil
	}
	text, err := os.Readlink(filepath.Join(dir, partsName))
	if err != nil {
		return "", err
	}
	for name := range strings.FieldsSeq(text) {
		was, sealed := seals[name]
		if !sealed {
			if strings.Contains(name, "-") {
				return "one of its seals is gone", nil
			}
			continue
		}
		now, problems, err := seal.Survey(ctx, filepath.Join(dir, name), seal.Options{Object: c.linked})
		if err != nil {
			return "", err
		}
		if problems != nil {
			return strings.Join(problems, ", "), nil
		}
		if differs := was.Differs(now); differs != "" {
			return fmt.Sprintf("layers %s: %s", name, differs), nil
		}
	}
	return "", nil
}

// linked says why an entry must not be in a merged tree.
func (c *checker) linked(path string, st *unix.Stat_t) string {
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink < 2 {
		return "is no layer's"
	}
	return c.object(path, st)
}
