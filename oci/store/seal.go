package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/seal"
)

// sealTree seals the tree of a layer, in its seal.json, unless it is sealed: soon after it was unpacked, for Check. A tree that
// goes meanwhile is none.
func (s *Store) sealTree(dir string) error {
	if _, err := readSeal(dir); err == nil {
		return nil
	}
	made, _, err := survey(context.Background(), dir, seal.Options{})
	if err == nil {
		err = s.writeSeal(dir, made)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sealing %s: %w", dir, err)
	}
	return nil
}

// survey is seal.Survey of the tree of a layer, with the list of owners that lies beside it.
func survey(ctx context.Context, dir string, o seal.Options) (made seal.Seal, problems []string, err error) {
	made, problems, err = seal.Survey(ctx, filepath.Join(dir, treeName), o)
	if err != nil {
		return made, problems, err
	}
	f, err := fsx.OpenRegular(filepath.Join(dir, ownersName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsx.ErrNotRegular) {
		return made, problems, nil
	}
	if err != nil {
		return made, problems, err
	}
	made.Owners, err = digest.FromReader(f)
	return made, problems, errors.Join(err, f.Close())
}

func (s *Store) writeSeal(dir string, made seal.Seal) error {
	raw, err := json.Marshal(made)
	if err != nil {
		return err
	}
	return fsx.WriteVia(s.tmp(), filepath.Join(dir, sealName), append(raw, '\n'), 0o600)
}

func readSeal(dir string) (made seal.Seal, err error) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, sealName), mostOfFile)
	if err != nil {
		return seal.Seal{}, err
	}
	return made, json.Unmarshal(raw, &made)
}
