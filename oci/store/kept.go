package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/naming"
	"github.com/coracle-run/coracle/internal/undo"
	"github.com/coracle-run/coracle/oci/store/location"
)

// Basis is what a kept writable layer was made of. It can be used with nothing else: what is in it says what differs from that.
type Basis struct {
	Image    string        `json:"image"`         // by which it was asked for
	Digest   digest.Digest `json:"digest"`        // of its manifest
	Platform string        `json:"platform"`      // os/arch[/variant]
	UserNS   string        `json:"userns"`        // who a job is inside
	IDs      string        `json:"ids,omitempty"` // which ids of the host its users are; "": all are the caller
}

// differs names what of a basis is another one's, and both values; "" where they are the same. The image's name may change.
func (b Basis) differs(other Basis) (what, was, is string) {
	for _, part := range []struct{ what, was, is string }{
		{"image", b.Image + "@" + string(b.Digest), other.Image + "@" + string(other.Digest)}, {"platform", b.Platform, other.Platform},
		{"--userns", b.UserNS, other.UserNS}, {"subordinate ids", b.IDs, other.IDs},
	} {
		if part.was != part.is && (part.what != "image" || b.Digest != other.Digest) {
			return part.what, part.was, part.is
		}
	}
	return "", "", ""
}

// Holder is the run that has a kept writable layer.
type Holder struct {
	Run    string     `json:"run"`            // absolute directory of its record
	Name   string     `json:"name,omitempty"` // of the run
	Owner  host.Owner `json:"owner"`
	Keeper host.Owner `json:"keeper,omitzero"` // the process whose mount of it lasts until its own end; none: it is not mounted
	Over   bool       `json:"over,omitempty"`  // the run has no more use for it, though its processes may be there
}

// label names the run for a person.
func (h Holder) label() string {
	label := "run " + filepath.Base(h.Run)
	if h.Name != "" {
		label += " (" + h.Name + ")"
	}
	return label
}

// uses reports whether the run goes on, or may, as far as can be told here.
func (h Holder) uses() bool { return !h.Over && h.Owner != (host.Owner{}) && !h.Owner.Dead() }

// mounts reports whether the layer may still be mounted, by a process that is about to end when the run is over.
func (h Holder) mounts() bool { return h.Keeper != (host.Owner{}) && !h.Keeper.Dead() }

// Kept is a writable layer that stays when its run has ended, for the next that names it.
type Kept struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Basis

	Way    string  `json:"way,omitempty"`    // in which its root is made (rootfs.Way); "": no job has begun yet
	Holder *Holder `json:"holder,omitempty"` // nil: no living run has it
	Dir    string  `json:"dir"`              // absolute
}

// The files beside fs and work in the directory of a kept layer. The way is written by who mounts it.
const keptMeta, keptHolder, keptWay = "kept.json", "holder.json", "way"

func (s *Store) keptDir() string              { return filepath.Join(s.dirs.Layers, "kept") }
func (s *Store) keptPlace(name string) string { return filepath.Join(s.keptDir(), name) }

// lockKept has one process at a time look whether a kept layer is free, and take or remove it.
func (s *Store) lockKept(ctx context.Context, name string) (unlock func() error, err error) {
	return fsx.Lock(ctx, filepath.Join(s.locksDir(), "kept-"+name))
}

// CheckKeptName refuses what is no name of a kept layer. They are those of volumes.
func CheckKeptName(name string) error {
	if len(name) < 2 || !naming.IsName(name) {
		return fmt.Errorf("%q is no name of a writable layer: two or more letters, digits and _.-, beginning with a letter or digit", name)
	}
	return nil
}

// Keep has the upper be the kept layer of a name, which is made if it is not there. From then on it is the holder's. The errors are a
// *KeptBasisError when it was made of something else, a *KeptInUseError while another run has it, and a *KeptAgedError. The upper's own lease and
// Extra are as before.
func (u *Upper) Keep(ctx context.Context, name string, basis Basis, by Holder) error {
	if err := u.keep(ctx, name, basis, by); err != nil {
		return fmt.Errorf("keeping the writable layer %s: %w", name, err)
	}
	return nil
}

func (u *Upper) keep(ctx context.Context, name string, basis Basis, by Holder) (err error) {
	if err := CheckKeptName(name); err != nil {
		return err
	}
	unlock, err := u.store.lockKept(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	k, err := u.store.Kept(name)
	if errors.Is(err, ErrNotKept) {
		k, err = u.store.makeKept(name, basis)
	}
	if err != nil {
		return err
	}
	if what, was, is := k.differs(basis); what != "" || k.Digest == "" {
		return &KeptBasisError{Name: name, Of: k.Basis, What: what, Was: was, Now: is}
	}
	if _, err := os.Lstat(filepath.Join(k.Dir, eldestName)); errors.Is(err, fs.ErrNotExist) {
		return &KeptAgedError{Name: name, Dir: k.Dir}
	}
	if err := u.store.awaitFree(ctx, k); err != nil {
		return err
	}
	if by.Owner == (host.Owner{}) {
		by.Owner = u.store.self
	}
	u.kept, u.holder = k.Dir, by
	err = u.writeHolder()
	if err == nil {
		err = u.store.readyKept(k)
	}
	if err != nil {
		return errors.Join(err, u.LetGo())
	}
	return nil
}

// makeKept makes a layer and publishes it whole. It outlives a power cut, as what is written to it later does where the job asks for that.
func (s *Store) makeKept(name string, basis Basis) (_ Kept, err error) {
	raw, err := json.MarshalIndent(Kept{Name: name, Created: time.Now().UTC().Truncate(time.Millisecond), Basis: basis}, "", "  ")
	if err != nil {
		return Kept{}, err
	}
	if err := location.Make(s.keptDir()); err != nil {
		return Kept{}, err
	}
	dir, err := fsx.TempDir(s.tmp())
	if err != nil {
		return Kept{}, err
	}
	var cleanup undo.Stack
	defer func() { err = errors.Join(err, cleanup.Run()) }()
	cleanup.Add(func() error { return fsx.RemoveAll(dir) })
	if err := makeEldest(filepath.Join(dir, eldestName)); err != nil {
		return Kept{}, err
	}
	if err := fsx.MkdirMode(filepath.Join(dir, "fs"), 0o755); err != nil {
		return Kept{}, err
	}
	if err := fsx.WriteFile(filepath.Join(dir, keptMeta), raw, 0o600, fsx.Sync); err != nil {
		return Kept{}, err
	}
	if err := fsx.Rename(dir, s.keptPlace(name)); err != nil {
		return Kept{}, err
	}
	cleanup.Release()
	if err := fsx.SyncDir(s.keptDir()); err != nil {
		return Kept{}, err
	}
	return s.Kept(name)
}

// readyKept makes a layer ready to be mounted. Where no job has begun in it, what is there was left by one that was killed while its root
// was made, and goes. Overlayfs's work directory is made anew each time: there may be half a file of a killed job's in it.
func (s *Store) readyKept(k Kept) error {
	dirs := map[string]os.FileMode{"work": 0o700}
	if k.Way == "" {
		dirs["fs"] = 0o755
	}
	for name, mode := range dirs {
		dir := filepath.Join(k.Dir, name)
		if err := s.roots.Remove(dir); err != nil {
			return err
		}
		if err := fsx.MkdirMode(dir, mode); err != nil {
			return err
		}
	}
	return nil
}

// keptPatience is how long a run waits for the processes of one that is over: the kernel is ending them.
const keptPatience, keptPause = 30 * time.Second, 2 * time.Millisecond

// awaitFree waits until no run has the layer, and fails at once where one goes on.
func (s *Store) awaitFree(ctx context.Context, k Kept) error {
	h, err := s.holder(k.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, keptPatience, &KeptInUseError{Name: k.Name, By: h})
	defer cancel()
	for {
		if h.uses() {
			return &KeptInUseError{Name: k.Name, By: h}
		}
		if !h.mounts() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(keptPause):
		}
	}
}

// holder is readHolder by the name that the run has now: it may have got another one since (RenameLease).
func (s *Store) holder(dir string) (Holder, error) {
	h, err := readHolder(dir)
	if err != nil || h.Run == "" {
		return h, err
	}
	if l, err := s.Lease(filepath.Base(h.Run)); err == nil && l.Run == h.Run {
		h.Name = l.Name
	}
	return h, nil
}

// readHolder is the holder of a layer, living or not; the zero value: none. It is written whole, so that what cannot be parsed is what a power cut
// has left of one.
func readHolder(dir string) (h Holder, err error) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, keptHolder), mostOfFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, nil
	}
	if err != nil {
		return Holder{}, err
	}
	_ = json.Unmarshal(raw, &h) // which looks at all of it before it fills anything in
	return h, nil
}

func (u *Upper) writeHolder() error {
	raw, err := json.MarshalIndent(u.holder, "", "  ")
	if err != nil {
		return err
	}
	return fsx.WriteVia(u.store.tmp(), filepath.Join(u.kept, keptHolder), raw, 0o600)
}

// MountedBy says of a kept layer which process is going to mount it, until the end of which it is nobody else's. Of an upper that goes with its run
// nobody has to know.
func (u *Upper) MountedBy(keeper host.Owner) error {
	if u.kept == "" {
		return nil
	}
	u.holder.Keeper = keeper
	if err := u.writeHolder(); err != nil {
		return fmt.Errorf("keeping the writable layer %s: %w", filepath.Base(u.kept), err)
	}
	return nil
}

// LetGo gives a kept layer back, to be had once it is mounted nowhere. A second call does nothing.
func (u *Upper) LetGo() error {
	if u.kept == "" || u.holder.Over {
		return nil
	}
	u.holder.Over = true
	// Where there is no room for it, the layer is free once this process has ended.
	if err := u.writeHolder(); err != nil && !errors.Is(err, fs.ErrNotExist) && !fsx.IsFull(err) {
		return fmt.Errorf("giving back the writable layer %s: %w", filepath.Base(u.kept), err)
	}
	return nil
}

// Kept is a kept layer by its name. The error is an ErrNotKept.
func (s *Store) Kept(name string) (k Kept, err error) {
	if CheckKeptName(name) != nil {
		return Kept{}, fmt.Errorf("%w: %q", ErrNotKept, name)
	}
	dir := s.keptPlace(name)
	raw, err := fsx.ReadRegular(filepath.Join(dir, keptMeta), mostOfFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Kept{}, fmt.Errorf("%w: %s", ErrNotKept, name)
	}
	if err != nil {
		return Kept{}, fmt.Errorf("the kept writable layer %s: %w", name, err)
	}
	_ = json.Unmarshal(raw, &k) // a damaged one is there all the same, and has no digest
	way, err := fsx.ReadRegular(filepath.Join(dir, keptWay), mostOfFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Kept{}, fmt.Errorf("the kept writable layer %s: %w", name, err)
	}
	k.Name, k.Dir, k.Way, k.Holder = name, dir, strings.TrimSpace(string(way)), nil
	if h, err := s.holder(dir); err == nil && h.uses() {
		k.Holder = &h
	}
	return k, nil
}

// KeptLayers are all kept layers, by their names.
func (s *Store) KeptLayers() (list []Kept, err error) {
	entries, err := os.ReadDir(s.keptDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the kept writable layers: %w", err)
	}
	var errs []error
	for _, e := range entries {
		k, err := s.Kept(e.Name())
		switch {
		case errors.Is(err, ErrNotKept): // something else, or it has just gone
		case err != nil:
			errs = append(errs, err)
		default:
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b Kept) int { return cmp.Compare(a.Name, b.Name) })
	return list, errors.Join(errs...)
}
