// Package blob keeps blobs, whole or in part, in a directory of a store: files under the digests that their bytes have.
package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store/beneath"
)

// Suffixes of what lies beside a blob, whose name is its digest in hexadecimal.
const (
	partialSuffix  = ".partial"  // the blob while it is fetched
	mapSuffix      = ".map"      // which parts of the partial are there
	unsyncedSuffix = ".unsynced" // the boot in which the blob was written, while it may not have reached the disk
)

// Store is a directory of blobs. Any number of processes and goroutines may use one.
type Store struct {
	dir, tmp string // on one file system
	boot     string // in which this is
	roots    *beneath.Roots
}

// New is the store of blobs in dir, which may not be there yet. What it writes whole and what it takes away passes through tmp; boot is the
// id of the boot that this is.
func New(dir, tmp, boot string, roots *beneath.Roots) *Store {
	return &Store{dir: dir, tmp: tmp, boot: boot, roots: roots}
}

// mostOfFile is how long a mark or a map may be, far more than any is: somebody may have put something without an end in its place.
const mostOfFile = 64 << 20

// Path is where the blob of this digest is, whether or not it is there: Open looks whether it can be trusted.
func (s *Store) Path(d digest.Digest) string { return filepath.Join(s.dir, d.Encoded()) }

// Has reports whether a blob is kept, whole. Once after a restart it may take the time to read it.
func (s *Store) Has(d digest.Digest) bool {
	f, err := s.Open(d)
	if err != nil {
		return false
	}
	_ = f.Close() // was only read
	return true
}

// Open opens a kept blob for reading. Its digest was right when it was stored; one that a power cut may have damaged is
// read to its end first, and removed when it was. The error is fs.ErrNotExist when it is not there, or something that is no
// file is in its place.
func (s *Store) Open(d digest.Digest) (_ *os.File, err error) {
	if err := CheckDigest(d); err != nil {
		return nil, err
	}
	f, err := fsx.OpenRegular(s.Path(d))
	if errors.Is(err, fsx.ErrNotRegular) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, fmt.Errorf("kept blob: %w", err)
	}
	if err := s.trust(d, f); err != nil {
		return nil, errors.Join(fmt.Errorf("kept blob: %w", err), f.Close())
	}
	return f, nil
}

// evict takes away what is no file and lies where one belongs: a pipe, a link or a directory there would stop every pull of
// the blob. It is neither opened nor followed. evicted is false when a file is there, or nothing.
func (s *Store) evict(path string) (evicted bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return s.roots.Discard(path, s.tmp)
}

// clear removes whatever is at the path of a file.
func (s *Store) clear(path string) error {
	if evicted, err := s.evict(path); evicted || err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fsx.Remove(path)
}

// trust makes sure that a blob has reached the disk if it was written in another boot.
func (s *Store) trust(d digest.Digest, f *os.File) error {
	mark := s.Path(d) + unsyncedSuffix
	odd, err := s.evict(mark)
	if err != nil {
		return err
	}
	boot, err := fsx.ReadRegular(mark, mostOfFile)
	if !odd && errors.Is(err, fs.ErrNotExist) || err == nil && string(boot) == s.boot {
		return nil
	}
	if odd {
		err = nil
	}
	if err != nil {
		return err
	}
	got, err := digest.FromReader(f)
	if err != nil {
		return err
	}
	if got != d {
		return errors.Join(fmt.Errorf("damaged, and removed: %w", fs.ErrNotExist), fsx.Remove(s.Path(d)), fsx.Remove(mark))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return fsx.Remove(mark)
}

// Remove removes a kept blob. One that is not there is no error.
func (s *Store) Remove(d digest.Digest) error {
	if err := CheckDigest(d); err != nil {
		return err
	}
	if err := errors.Join(s.clear(s.Path(d)), s.clear(s.Path(d)+unsyncedSuffix)); err != nil {
		return fmt.Errorf("removing blob %s: %w", d, err)
	}
	return nil
}

// Blob is a kept blob, or a part of one that was not fetched to its end.
type Blob struct {
	Digest  digest.Digest `json:"digest"`
	Size    int64         `json:"size"` // bytes on the disk
	Partial bool          `json:"partial"`
	Written time.Time     `json:"written"`
}

// List lists what is in the store, partial ones included, by digest.
func (s *Store) List() ([]Blob, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing blobs: %w", err)
	}
	var blobs []Blob
	for _, e := range entries {
		hex, partial := strings.CutSuffix(e.Name(), partialSuffix)
		b := Blob{Digest: digest.NewDigestFromEncoded(digest.SHA256, hex), Partial: partial}
		info, err := e.Info()
		if err != nil || CheckDigest(b.Digest) != nil {
			continue // gone meanwhile, a mark or a map, or of another making
		}
		b.Written = info.ModTime()
		if b.Size = info.Size(); partial {
			b.Size = onDisk(info)
		}
		blobs = append(blobs, b)
	}
	return blobs, nil
}

// onDisk is how much of a file with holes is there.
func onDisk(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		const blockSize = 512 // stat(2): whatever the file system's own is
		return min(st.Blocks*blockSize, info.Size())
	}
	return info.Size()
}

// Verify reads a kept blob to its end, and reports whether it has the digest that it is kept under.
func (s *Store) Verify(d digest.Digest) (ok bool, err error) {
	f, err := fsx.OpenRegular(s.Path(d))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	got, err := digest.FromReader(f)
	return got == d, err
}

func isSHA256(text string) bool {
	const prefix, size = "sha256:", 64
	if len(text) != len(prefix)+size || text[:len(prefix)] != prefix {
		return false
	}
	for _, c := range []byte(text[len(prefix):]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// CheckDigest refuses what must not become part of a path: anything but "sha256:" and 64 lower-case hex digits.
func CheckDigest(d digest.Digest) error {
	if isSHA256(string(d)) { // package digest asks a regular expression, and an image has a hundred
		return nil
	}
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", string(d), err)
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest %q: only sha256 is supported", string(d))
	}
	return nil
}
