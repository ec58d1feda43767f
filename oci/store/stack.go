package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
)

// A stack is the layers of one image in fewer trees: runs of small layers are also kept as one tree of hard links to the layers' own
// files (package merge), so that overlayfs looks a name up in a few directories, and who starts the image looks at a few. It is
// known by the list of the layers, each once. It is made by who settles the image (Merge), appears whole or not at all and on the disk, and
// takes directories alone; nothing but time is lost when it goes.
//
// A run finds a stack in place of the layers in it, whose files are the stack's own as long as it uses it. Whoever takes a layer
// away takes the stacks with it, too, after the layer; and who makes a stack first shows which layers it is of, and then looks for
// them. So of these two one sees the other. A stack goes as a layer does: it is marked, the removal is counted, and then the leases
// are looked at; it is in use by a lease that has all of its layers.

// Names inside the directory of a stack; its trees have those of their parts.
const (
	partsName = "parts"      // a link whose text says which layers are in which tree: nothing needs to be opened
	stackName = "stack.json" // of which trees it was made
	sealsName = "seals.json"
)

// What is merged. To make a stack takes some 10 microseconds an entry, and it shall not make large trees' directories twice.
const (
	stackLayers  = 8       // an image of fewer layers has no stack
	stackSaves   = 4       // nor has one whose stack would have hardly fewer trees
	smallLayer   = 4 << 10 // entries of a layer that is merged, at most
	partEntries  = 16 << 10
	stackEntries = 64 << 10
)

// part is one tree of a stack: of which layers, both included, counted from the lowest, 0. One of a single layer is the layer itself.
type part struct{ from, to int }

func (p part) merged() bool { return p.to > p.from }

// String is the name of the tree.
func (p part) String() string {
	if !p.merged() {
		return strconv.Itoa(p.from)
	}
	return strconv.Itoa(p.from) + "-" + strconv.Itoa(p.to)
}

func formatParts(parts []part) string {
	texts := make([]string, len(parts))
	for n, p := range parts {
		texts[n] = p.String()
	}
	return strings.Join(texts, " ")
}

// parseParts reads what formatParts wrote. ok is false when it is not of so many layers.
func parseParts(text string, layers int) (parts []part, ok bool) {
	next := 0
	for field := range strings.FieldsSeq(text) {
		low, high, run := strings.Cut(field, "-")
		if !run {
			high = low
		}
		from, lowErr := strconv.Atoi(low)
		to, highErr := strconv.Atoi(high)
		p := part{from, to}
		if lowErr != nil || highErr != nil || from != next || to < from || p.String() != field {
			return nil, false
		}
		parts, next = append(parts, p), to+1
	}
	return parts, next == layers
}

// planParts decides which layers become one tree, by their numbers of entries, the lowest first.
func planParts(entries []int64) (parts []part) {
	var sum, total int64 // of the last part, and of all that are merged
	open := false        // the last part may take more
	for n, count := range entries {
		small := count <= smallLayer && total+count <= stackEntries
		if small {
			total += count
		}
		if open && small && sum+count <= partEntries {
			parts[len(parts)-1].to, sum = n, sum+count
			continue
		}
		parts, sum, open = append(parts, part{n, n}), count, small
	}
	if len(entries)-len(parts) < stackSaves {
		return singles(len(entries))
	}
	return parts
}

func singles(layers int) (parts []part) {
	for n := range layers {
		parts = append(parts, part{n, n})
	}
	return parts
}

// once are layers without those that come again further up: overlayfs refuses a directory that is there twice, and the
// topmost covers everything that the ones below it could show.
func once(layers []digest.Digest) []digest.Digest {
	seen := make(map[digest.Digest]bool, len(layers))
	kept := make([]digest.Digest, 0, len(layers))
	for _, d := range slices.Backward(layers) {
		if !seen[d] {
			kept = append(kept, d)
		}
		seen[d] = true
	}
	slices.Reverse(kept)
	return kept
}

// stackKey names the stack of layers, each once.
func stackKey(layers []digest.Digest) string {
	const version = "1\n"
	text := make([]byte, 0, len(version)+72*len(layers))
	text = append(text, version...)
	for _, d := range layers {
		text = append(append(text, d...), '\n')
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (s *Store) stacksDir() string { return filepath.Join(filepath.Dir(s.layersDir()), "stacks") }
func (s *Store) stackDir(layers []digest.Digest) string {
	return filepath.Join(s.stacksDir(), stackKey(layers))
}

// Trees are the directories that show an image's layers, the lowest first: merged ones where it has a stack.
func (s *Store) Trees(img Image) []string {
	layers := img.Layers()
	if img.parts == nil {
		trees := make([]string, len(layers))
		for n, d := range layers {
			trees[n] = s.LayerDir(d)
		}
		return trees
	}
	layers = once(layers)
	dir := s.stackDir(layers)
	trees := make([]string, len(img.parts))
	for n, p := range img.parts {
		if trees[n] = s.LayerDir(layers[p.from]); p.merged() {
			trees[n] = filepath.Join(dir, p.String())
		}
	}
	return trees
}

// Apart is the image without its stack: for who needs each of the layers by itself.
func (s *Store) Apart(img Image) Image {
	if img.parts == nil {
		return img
	}
	img.parts, img.whole = nil, true
	for _, d := range img.Layers() {
		img.whole = img.whole && s.stands(d)
	}
	return img
}

// Unmerged reports whether Merge is worth a try: starts of an image would be faster for a stack, which it does not have, and which
// nobody is making.
func (s *Store) Unmerged(img Image) bool {
	if img.parts != nil || len(img.Manifest.Layers) < stackLayers {
		return false
	}
	layers := once(img.Layers())
	if len(layers) < stackLayers || s.findStack(layers) != nil {
		return false
	}
	_, err := os.Lstat(s.stackLock(layers))
	return errors.Is(err, fs.ErrNotExist)
}

// looked are the layers of an image that are to be looked at by themselves.
func (i Image) looked() []digest.Digest {
	if i.parts == nil {
		return i.Layers()
	}
	var alone []digest.Digest
	layers := once(i.Layers())
	for _, p := range i.parts {
		if !p.merged() {
			alone = append(alone, layers[p.from])
		}
	}
	return alone
}

// stackNote is stack.json.
type stackNote struct {
	Layers []digest.Digest `json:"layers"` // each once, the lowest first
	Flat   []time.Time     `json:"flat"`   // when the tree of each was made
}

func (n stackNote) holds(d digest.Digest) bool { return slices.Contains(n.Layers, d) }

func readStackNote(dir string) (note stackNote, err error) {
	raw, err := fsx.ReadRegular(filepath.Join(dir, stackName), mostOfFile)
	if err != nil {
		return stackNote{}, err
	}
	return note, json.Unmarshal(raw, &note)
}

// stacks calls f for every stack that is there, and for those that are being made. One that cannot be read says of no layer that it holds
// it.
func (s *Store) stacks(f func(dir string, note stackNote) error) error {
	entries, err := os.ReadDir(s.stacksDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing merged layers: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(s.stacksDir(), e.Name())
		note, _ := readStackNote(dir) // what there is
		errs = append(errs, f(dir, note))
	}
	return errors.Join(errs...)
}

// isMaking reports whether the directory of a stack is one that is not finished.
func isMaking(dir string) bool {
	_, making := fsx.TempOwner(filepath.Base(dir))
	return making
}
