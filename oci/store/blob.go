package store

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
)

// Suffixes of what lies beside a blob, LAYERS/blobs/sha256/<hex>.
const (
	partialSuffix  = ".partial"  // the blob while it is fetched
	mapSuffix      = ".map"      // which parts of the partial are there
	unsyncedSuffix = ".unsynced" // the boot in which the blob was written, while it may not have reached the disk
)

func (s *Store) blobsDir() string { return filepath.Join(s.dirs.Layers, "blobs", "sha256") }

// BlobPath is where the blob of this digest is, whether or not it is there: OpenBlob looks whether it can be trusted.
func (s *Store) BlobPath(d digest.Digest) string { return filepath.Join(s.blobsDir(), d.Encoded()) }

// HasBlob reports whether a blob is kept, whole. Once after a restart it may take the time to read it.
func (s *Store) HasBlob(d digest.Digest) bool {
	f, err := s.OpenBlob(d)
	if err != nil {
		return false
	}
	_ = f.Close() // was only read
	return true
}

// OpenBlob opens a kept blob for reading. Its digest was right when it was stored; one that a power cut may have damaged is
// read to its end first, and removed when it was. The error is fs.ErrNotExist when it is not there, or something that is no
// file is in its place.
func (s *Store) OpenBlob(d digest.Digest) (_ *os.File, err error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	f, err := openRegular(s.BlobPath(d))
	if errors.Is(err, fs.ErrInvalid) {
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

// openRegular opens a file to read it, and nothing else: a pipe that somebody left there would hold us for ever.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link, a socket
		err = fmt.Errorf("%w: %w", fs.ErrInvalid, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file, and does not belong there: %w", path, fs.ErrInvalid)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
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
	return s.discard(path, s.tmp())
}

// clear removes whatever is at the path of a file.
func (s *Store) clear(path string) error {
	if evicted, err := s.evict(path); evicted || err != nil {
		return err
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return remove(path)
}

// trust makes sure that a blob has reached the disk if it was written in another boot.
func (s *Store) trust(d digest.Digest, f *os.File) error {
	mark := s.BlobPath(d) + unsyncedSuffix
	odd, err := s.evict(mark)
	if err != nil {
		return err
	}
	boot, err := fsx.ReadRegular(mark, mostOfFile)
	if !odd && errors.Is(err, fs.ErrNotExist) || err == nil && string(boot) == s.self.BootID {
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
		return errors.Join(fmt.Errorf("damaged, and removed: %w", fs.ErrNotExist), remove(s.BlobPath(d)), remove(mark))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return remove(mark)
}

// RemoveBlob removes a kept blob. One that is not there is no error.
func (s *Store) RemoveBlob(d digest.Digest) error {
	if err := checkDigest(d); err != nil {
		return err
	}
	if err := errors.Join(s.clear(s.BlobPath(d)), s.clear(s.BlobPath(d)+unsyncedSuffix)); err != nil {
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

// Blobs lists what is in the store of blobs, partial ones included, by digest.
func (s *Store) Blobs() ([]Blob, error) {
	entries, err := os.ReadDir(s.blobsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing blobs: %w", err)
	}
	var blobs []Blob
	for _, e := range entries {
		hex, partial := strings.CutSuffix(e.Name(), partialSuffix)
		b := Blob{Digest: digest.NewDigestFromEncoded(digest.SHA256, hex), Partial: partial}
		info, err := e.Info()
		if err != nil || checkDigest(b.Digest) != nil {
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

// remove is fsx's step and os.Remove; what is not there is removed.
func remove(path string) error {
	if err := fsx.Step("remove", path); err != nil {
		return err
	}
	return fsx.IgnoreMissing(os.Remove(path))
}
