package blob

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// Castagnoli is the polynomial of the checksums in a partial's map; processors compute it at the speed of memory.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Range is a part of a partial blob that is there.
type Range struct {
	Offset int64  `json:"at"`
	Length int64  `json:"n"`
	Sum    uint32 `json:"crc32c"` // of the bytes: tells after a power cut whether they reached the disk
}

// End is the offset behind the range.
func (r Range) End() int64 { return r.Offset + r.Length }

// mapHead is the first line of a map. The others are ranges.
type mapHead struct {
	Size int64  `json:"size"`
	Boot string `json:"boot"`
}

// Partial is a blob on its way: a file that is written in any order, beside a map of the ranges that are there. Both stay
// when the process ends, however it ends, and the next Partial of the blob goes on with them. A range is in the map only
// after all its bytes were written. What a killed process wrote the kernel still has; after a restart of the machine a
// range counts only if its bytes have the checksum of the map. That the whole has the blob's digest the caller verifies.
//
// Only one process has the partial of a blob. Where that cannot be made sure of (another has it, or the file system has no
// locks), a private one is given that starts with nothing and leaves nothing.
//
// WriteAt, ReadAt and Record may be called by several goroutines.
type Partial struct {
	store  *Store
	digest digest.Digest
	size   int64
	file   *os.File
	path   string

	mu    sync.Mutex
	log   *os.File // the map, open for appending; nil of a private partial
	there []Range  // when it was opened
	torn  bool     // a line of the map may have no end: there must be none after it
	ended bool
}

// Partial opens or makes the partial of a blob of a known size.
func (s *Store) Partial(d digest.Digest, size int64) (*Partial, error) {
	if err := CheckDigest(d); err != nil {
		return nil, err
	}
	p := &Partial{store: s, digest: d, size: size, path: s.Path(d) + partialSuffix}
	if err := p.open(); err != nil {
		if p.file != nil {
			err = errors.Join(err, p.file.Close())
		}
		return nil, fmt.Errorf("partial blob: %w", err)
	}
	return p, nil
}

func (p *Partial) open() error {
	if err := fsx.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	locked, err := p.lock()
	if err != nil {
		return err
	}
	if !locked {
		return p.private()
	}
	if p.there, err = p.readMap(); err != nil {
		return err
	}
	if err := p.startMap(); err != nil {
		return err
	}
	return p.resize()
}

// resize gives the file its size, as one hole; what is there stays.
func (p *Partial) resize() error {
	if err := fsx.Step("truncate", p.path); err != nil {
		return err
	}
	return p.file.Truncate(p.size)
}

// lock opens the file and locks it to this process. It is false when that cannot be.
func (p *Partial) lock() (bool, error) {
	for {
		// Of two that find something odd there one may take away what the other has made by then, whose pull notices.
		if _, err := p.store.evict(p.path); err != nil {
			return false, err
		}
		if err := fsx.Step("create", p.path); err != nil {
			return false, err
		}
		f, err := os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return false, err
		}
		if err := sys.Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }); err != nil {
			return false, f.Close() // taken, or there are no locks here
		}
		current, err := fsx.IsCurrent(f, p.path)
		if err != nil {
			return false, errors.Join(err, f.Close())
		}
		if current {
			p.file = f
			return true, nil
		}
		if err := f.Close(); err != nil { // its owner was done with it between open and lock
			return false, err
		}
	}
}

// private makes a file of this process alone.
func (p *Partial) private() error {
	name, err := fsx.TempName()
	if err != nil {
		return err
	}
	p.path = filepath.Join(p.store.tmp, name)
	if err := fsx.Step("create", p.path); err != nil {
		return err
	}
	if p.file, err = os.OpenFile(p.path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600); err != nil {
		return err
	}
	return p.resize()
}

func (p *Partial) mapPath() string { return p.store.Path(p.digest) + mapSuffix }

// readMap finds the ranges that can be trusted.
func (p *Partial) readMap() ([]Range, error) {
	if _, err := p.store.evict(p.mapPath()); err != nil {
		return nil, err
	}
	raw, err := fsx.ReadRegular(p.mapPath(), mostOfFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := p.file.Stat()
	if err != nil {
		return nil, err
	}
	boot, listed := parseMap(raw, p.size)
	return disjoint(slices.DeleteFunc(listed, func(r Range) bool {
		return r.End() > info.Size() || boot != p.store.boot && !p.reachedDisk(r)
	})), nil
}

// parseMap reads a map up to where it is damaged. One of a blob of another size is empty.
func parseMap(raw []byte, size int64) (boot string, ranges []Range) {
	lines := bufio.NewScanner(bytes.NewReader(raw))
	var head mapHead
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Size != size {
		return "", nil
	}
	for lines.Scan() {
		var r Range
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			break // cut off in the middle of a line
		}
		if r.Offset >= 0 && r.Length > 0 && r.Offset <= size-r.Length {
			ranges = append(ranges, r)
		}
	}
	return head.Boot, ranges
}

// disjoint sorts ranges and drops those that overlap an earlier one, which no honest map has.
func disjoint(ranges []Range) []Range {
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Offset, b.Offset) })
	var end int64
	return slices.DeleteFunc(ranges, func(r Range) bool {
		if r.Offset < end {
			return true
		}
		end = r.End()
		return false
	})
}

// reachedDisk reports whether the bytes of a range are those that were written.
func (p *Partial) reachedDisk(r Range) bool {
	h := crc32.New(Castagnoli)
	n, err := io.Copy(h, io.NewSectionReader(p.file, r.Offset, r.Length))
	return err == nil && n == r.Length && h.Sum32() == r.Sum
}

// startMap writes the map anew, with what of it can be trusted, and opens it for more.
func (p *Partial) startMap() error {
	raw, err := json.Marshal(mapHead{Size: p.size, Boot: p.store.boot})
	if err != nil {
		return err
	}
	raw = append(raw, '\n')
	for _, r := range p.there {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		raw = append(append(raw, line...), '\n')
	}
	if err := fsx.WriteVia(p.store.tmp, p.mapPath(), raw, 0o600); err != nil {
		return err
	}
	p.log, err = fsx.AppendFile(p.mapPath(), 0o600)
	return err
}

// There are the ranges that were there when the partial was opened, in their order.
func (p *Partial) There() []Range { return p.there }

// WriteAt implements io.WriterAt.
func (p *Partial) WriteAt(b []byte, offset int64) (int, error) {
	if err := fsx.Step("write", p.path); err != nil {
		return 0, err
	}
	return p.file.WriteAt(b, offset)
}

// ReadAt implements io.ReaderAt.
func (p *Partial) ReadAt(b []byte, offset int64) (int, error) { return p.file.ReadAt(b, offset) }

// Record says that all bytes of a range were written.
func (p *Partial) Record(r Range) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log == nil || p.torn {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := fsx.Step("append", p.mapPath()); err != nil {
		return err
	}
	_, err = p.log.Write(append(line, '\n')) // in one piece: a killed process has written all of it or nothing
	p.torn = err != nil
	return err
}

// Keep makes the partial the blob, and closes it. The caller has verified the digest of what is in the file, and has
// written nothing since.
func (p *Partial) Keep() error {
	return p.end(func() error {
		blob := p.store.Path(p.digest)
		for _, name := range []string{blob, blob + unsyncedSuffix} {
			if _, err := p.store.evict(name); err != nil {
				return err
			}
		}
		// Nobody waits until it is on the disk. The mark comes first, so that the blob never appears without it.
		if err := fsx.WriteVia(p.store.tmp, blob+unsyncedSuffix, []byte(p.store.boot), 0o600); err != nil {
			return err
		}
		if err := fsx.Rename(p.path, blob); err != nil {
			if p.log == nil {
				err = errors.Join(err, fsx.Remove(p.path))
			}
			return err
		}
		return p.removeMap()
	})
}

// Drop removes the partial with all that is there, and closes it.
func (p *Partial) Drop() error {
	return p.end(func() error {
		// The map first: a file without a map holds nothing.
		return errors.Join(p.removeMap(), fsx.Remove(p.path))
	})
}

// Close lets go of the partial and leaves it for the next time. After Keep or Drop it does nothing.
func (p *Partial) Close() error {
	return p.end(func() error {
		if p.log == nil {
			return fsx.Remove(p.path)
		}
		return nil
	})
}

func (p *Partial) removeMap() error {
	if p.log == nil {
		return nil
	}
	return fsx.Remove(p.mapPath())
}

// end does what it is told, once, while the lock is held, and lets go of it.
func (p *Partial) end(last func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	p.ended = true
	err := last()
	if p.log != nil {
		err = errors.Join(err, p.log.Close())
	}
	if err = errors.Join(err, p.file.Close()); err != nil {
		return fmt.Errorf("partial blob: %w", err)
	}
	return nil
}

var (
	_ io.WriterAt = (*Partial)(nil)
	_ io.ReaderAt = (*Partial)(nil)
)
