package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/blob"
	"github.com/coracle-run/coracle/oci/store/merge"
	"github.com/coracle-run/coracle/oci/store/seal"
)

// Merge makes the stack of an image's layers, unless it is there, another process is making it, or they are too few or too
// large. Where there is no room, or a layer goes meanwhile, there is none after it, which is no error. It waits for the disk.
func (s *Store) Merge(ctx context.Context, layers ...digest.Digest) (err error) {
	if layers = once(layers); len(layers) < stackLayers {
		return nil
	}
	for _, d := range layers {
		if err := blob.CheckDigest(d); err != nil {
			return err
		}
	}
	unlock, err := fsx.TryLock(s.stackLock(layers))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("merging layers: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	err = s.makeStack(ctx, layers)
	if fsx.IsFull(err) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("merging layers: %w", err)
	}
	return nil
}

// stackLock is held by the process that makes a stack.
func (s *Store) stackLock(layers []digest.Digest) string {
	return filepath.Join(s.locksDir(), "stack-"+stackKey(layers))
}

func (s *Store) makeStack(ctx context.Context, layers []digest.Digest) (err error) {
	place := s.stackDir(layers)
	if note, err := readStackNote(place); err == nil && s.current(note) {
		return nil
	}
	note := stackNote{Layers: layers}
	if err := s.dropStack(place, note, true); err != nil {
		return err
	}
	if note.Flat, err = s.created(layers); err != nil {
		return err
	}
	dir, err := s.beginStack(note)
	if dir != "" {
		defer func() { err = errors.Join(err, s.abandon(dir)) }()
	}
	if err != nil {
		return err
	}
	if now, err := s.created(layers); err != nil || !slices.EqualFunc(now, note.Flat, time.Time.Equal) {
		return errors.Join(err, fs.ErrNotExist) // somebody who could not know of this has taken one away
	}
	if err := s.fillStack(ctx, dir, layers); err != nil {
		return err
	}
	if err := s.publishStack(dir, place); err != nil {
		return err
	}
	if s.current(note) {
		return nil
	}
	return s.dropStack(place, note, false)
}

// created are the times when the trees of layers were made that are here now.
func (s *Store) created(layers []digest.Digest) (times []time.Time, err error) {
	for _, d := range layers {
		layer, err := s.Layer(d)
		if err != nil {
			return nil, err
		}
		times = append(times, layer.Created)
	}
	return times, nil
}

// beginStack makes the directory of a stack, where everybody can see what it is to be of. It is the caller's even when there is an
// error, unless its path is "".
func (s *Store) beginStack(note stackNote) (dir string, err error) {
	if err := fsx.MkdirAll(s.stacksDir(), 0o700); err != nil {
		return "", err
	}
	raw, err := json.Marshal(note)
	if err != nil {
		return "", err
	}
	if dir, err = fsx.TempDir(s.stacksDir()); err != nil {
		return "", err
	}
	if err := makeEldest(filepath.Join(dir, eldestName)); err != nil {
		return dir, err
	}
	return dir, fsx.WriteFile(filepath.Join(dir, stackName), append(raw, '\n'), 0o600)
}

// abandon removes a stack that was not finished, wherever somebody has moved it. One that was is not found.
func (s *Store) abandon(dir string) error {
	return errors.Join(s.roots.RemoveAll(dir), s.roots.RemoveAll(filepath.Join(s.tmp(), filepath.Base(dir))))
}

// fillStack makes the trees, and says what they are. What the file system refuses is not tried again: such a stack has only the layers
// themselves.
func (s *Store) fillStack(ctx context.Context, dir string, layers []digest.Digest) error {
	var entries []int64
	trees := make([]string, len(layers))
	for n, d := range layers {
		layer, err := s.Layer(d)
		if err != nil {
			return err
		}
		entries, trees[n] = append(entries, layer.Entries), s.LayerDir(d)
	}
	parts := planParts(entries)
	seals := map[string]seal.Seal{}
	for _, p := range parts {
		if !p.merged() {
			continue
		}
		made, err := mergePart(ctx, trees[:p.from], trees[p.from:p.to+1], filepath.Join(dir, p.String()))
		if merge.Refused(err) {
			return s.fillSingles(dir, parts)
		}
		if err != nil {
			return err
		}
		seals[p.String()] = made
	}
	return describeStack(dir, parts, seals)
}

func (s *Store) fillSingles(dir string, parts []part) error {
	last := 0
	for _, p := range parts {
		last = p.to
		if p.merged() {
			if err := s.roots.RemoveAll(filepath.Join(dir, p.String())); err != nil {
				return err
			}
		}
	}
	return describeStack(dir, singles(last+1), map[string]seal.Seal{})
}

func mergePart(ctx context.Context, below, layers []string, into string) (made seal.Seal, err error) {
	if err := fsx.Mkdir(into, 0o755); err != nil {
		return made, err
	}
	if _, err := merge.Layers(ctx, below, layers, into); err != nil {
		return made, err
	}
	made, _, err = seal.Survey(ctx, into, seal.Options{})
	return made, err
}

func describeStack(dir string, parts []part, seals map[string]seal.Seal) error {
	raw, err := json.Marshal(seals)
	if err != nil {
		return err
	}
	if err := fsx.WriteFile(filepath.Join(dir, sealsName), append(raw, '\n'), 0o600); err != nil {
		return err
	}
	link := filepath.Join(dir, partsName)
	if err := fsx.Step("symlink", link); err != nil {
		return err
	}
	return os.Symlink(formatParts(parts), link)
}

// publishStack has a stack appear, once it is on the disk. One that is there already was made by a process that the lock did not
// keep out.
func (s *Store) publishStack(dir, place string) error {
	if err := s.syncfs(); err != nil {
		return err
	}
	if err := markSynced(filepath.Join(dir, syncedName)); err != nil {
		return err
	}
	err := fsx.Rename(dir, place)
	if fsx.IsNotEmpty(err) {
		return nil
	}
	return err
}
