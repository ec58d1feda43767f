package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

var (
	// ErrNotKept means that no writable layer of this name is kept.
	ErrNotKept = errors.New("no such kept writable layer")
	// ErrKeptInUse means that a run has a kept layer; the error is a *KeptInUseError.
	ErrKeptInUse = errors.New("a run has it")
	// ErrKeptBasis means that a kept layer was made of something else; the error is a *KeptBasisError.
	ErrKeptBasis = errors.New("it was made of something else")
)

// KeptInUseError names the run that has a kept layer. It is an ErrKeptInUse.
type KeptInUseError struct {
	Name string
	By   Holder
}

// Error implements error.
func (e *KeptInUseError) Error() string {
	text := e.By.label() + " has it"
	if e.By.Over || e.By.Owner.Dead() {
		return text + " still mounted, though it is over"
	}
	if e.elsewhere() {
		text += ", on " + e.By.Owner.Host
	}
	return text
}

func (e *KeptInUseError) elsewhere() bool {
	name, err := os.Hostname()
	return err == nil && e.By.Owner.Host != name
}

// Is makes the error an ErrKeptInUse.
func (e *KeptInUseError) Is(target error) bool { return target == ErrKeptInUse }

// Hint says what to do next.
func (e *KeptInUseError) Hint() string {
	return "wait for the run to end, or stop it, or keep another one: --upper keep:OTHER"
}

// KeptBasisError says what a kept layer was made of. It is an ErrKeptBasis.
type KeptBasisError struct {
	Name           string
	Of             Basis
	What, Was, Now string
}

// Error implements error.
func (e *KeptBasisError) Error() string {
	value := func(text string) string {
		if text == "" {
			return "none"
		}
		return text
	}
	if e.Of.Digest == "" {
		return "its description is damaged, and nobody knows what it was made of"
	}
	return fmt.Sprintf("it was made of another %s, %s, and this run has %s", e.What, value(e.Was), value(e.Now))
}

// Is makes the error an ErrKeptBasis.
func (e *KeptBasisError) Is(target error) bool { return target == ErrKeptBasis }

// Hint says what to do next.
func (e *KeptBasisError) Hint() string {
	return fmt.Sprintf("run what it was made of, or take another name; 'coracle upper rm %s' removes it with what is in it", e.Name)
}

// KeptAgedError is a kept layer of which something has removed old files.
type KeptAgedError struct{ Name, Dir string }

// Error implements error.
func (e *KeptAgedError) Error() string {
	return "what removes old files from this file system has been at it: files are missing"
}

// Hint says what to do next.
func (e *KeptAgedError) Hint() string {
	return fmt.Sprintf("what is left is in %s; 'coracle upper rm %s' removes it, and --layers names a place that is not cleaned", filepath.Join(e.Dir, "fs"), e.Name)
}

// RemoveKept removes a kept layer with what is in it. The error is an ErrNotKept, or a *KeptInUseError while a run has it.
func (s *Store) RemoveKept(ctx context.Context, name string) error {
	if err := s.removeKept(ctx, name); err != nil {
		return fmt.Errorf("removing the kept writable layer %s: %w", name, err)
	}
	return nil
}

func (s *Store) removeKept(ctx context.Context, name string) (err error) {
	if CheckKeptName(name) != nil {
		return ErrNotKept
	}
	unlock, err := s.lockKept(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	k := Kept{Name: name, Dir: s.keptPlace(name)} // its description may be damaged
	if err := s.awaitFree(ctx, k); err != nil {
		return err
	}
	away, err := s.moveAway(k.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotKept
	}
	if err != nil {
		return err
	}
	return s.roots.RemoveAll(away)
}

// kept removes the kept layers that no run has, where that is asked for.
func (p *pruner) kept(ctx context.Context) error {
	if !p.options.Uppers {
		return nil
	}
	list, err := p.KeptLayers()
	errs := []error{err}
	for _, k := range list {
		if k.Holder != nil {
			continue
		}
		item := Item{Name: k.Name, Bytes: fsx.Measure(filepath.Join(k.Dir, "fs"), 0).Bytes}
		if !p.options.DryRun {
			err := p.RemoveKept(ctx, k.Name)
			if errors.Is(err, ErrNotKept) || errors.Is(err, ErrKeptInUse) {
				continue
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		p.took(&p.pruned.Kept, item)
	}
	return errors.Join(errs...)
}

// KeptUsage is a kept writable layer and what it takes.
type KeptUsage struct {
	Kept
	Amount
}

func (s *Store) keptUsage(u *Usage) error {
	list, err := s.KeptLayers()
	for _, k := range list {
		used := fsx.Measure(filepath.Join(k.Dir, "fs"), measureLimit)
		u.Kept = append(u.Kept, KeptUsage{Kept: k, Amount: used})
		u.Total += used.Bytes
	}
	return err
}
