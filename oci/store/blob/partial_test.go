package blob_test

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/blob"
	"github.com/coracle-run/coracle/oci/store/location"
)

const blobText = "0123456789abcdefghijklmnopqrstuv"

var blobDigest = digest.FromString(blobText)

func open(t *testing.T) *store.Store {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func partial(t *testing.T, s *store.Store) *blob.Partial {
	t.Helper()
	p, err := s.Blobs().Partial(blobDigest, int64(len(blobText)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// putRange writes a part of the blob and records it.
func putRange(t *testing.T, p *blob.Partial, from, to int) {
	t.Helper()
	part := []byte(blobText[from:to])
	if _, err := p.WriteAt(part, int64(from)); err != nil {
		t.Fatal(err)
	}
	if err := p.Record(blob.Range{Offset: int64(from), Length: int64(to - from), Sum: crc32.Checksum(part, blob.Castagnoli)}); err != nil {
		t.Fatal(err)
	}
}

// there lists the ranges as their bounds.
func there(p *blob.Partial) []int64 {
	var bounds []int64
	for _, r := range p.There() {
		bounds = append(bounds, r.Offset, r.End())
	}
	return bounds
}

func mapFile(s *store.Store) string { return s.Blobs().Path(blobDigest) + ".map" }

// edit changes a file of the store behind its back.
func edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// anotherBoot makes a file of the store one that was written before the machine started.
func anotherBoot(t *testing.T, path string) {
	t.Helper()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(s string) string {
		return strings.ReplaceAll(s, strings.TrimSpace(string(boot)), "00000000-0000-0000-0000-000000000000")
	})
}

func TestPartialGoesOn(t *testing.T) {
	whole := []int64{0, 4, 8, 12}
	for name, c := range map[string]struct {
		meanwhile func(*testing.T, *store.Store)
		want      []int64
	}{
		"in the same boot": {func(*testing.T, *store.Store) {}, whole},
		"after a restart":  {func(t *testing.T, s *store.Store) { anotherBoot(t, mapFile(s)) }, whole},
		"a torn line":      {func(t *testing.T, s *store.Store) { edit(t, mapFile(s), func(m string) string { return m[:len(m)-5] }) }, []int64{8, 12}},
		"no map":           {func(_ *testing.T, s *store.Store) { _ = os.Remove(mapFile(s)) }, nil},
		"no file":          {func(_ *testing.T, s *store.Store) { _ = os.Remove(s.Blobs().Path(blobDigest) + ".partial") }, nil},
		"an empty map":     {func(t *testing.T, s *store.Store) { edit(t, mapFile(s), func(string) string { return "" }) }, nil},
		"another size": {func(t *testing.T, s *store.Store) {
			edit(t, mapFile(s), func(m string) string { return strings.Replace(m, "32", "33", 1) })
		}, nil},
		"a range outside": {func(t *testing.T, s *store.Store) {
			edit(t, mapFile(s), func(m string) string { return m + `{"at":30,"n":3}` + "\n" })
		}, whole},
		"ranges that overlap": {func(t *testing.T, s *store.Store) {
			edit(t, mapFile(s), func(m string) string { return m + `{"at":2,"n":4}` + "\n" })
		}, whole},
		"a hole after a restart": {func(t *testing.T, s *store.Store) {
			anotherBoot(t, mapFile(s))
			edit(t, s.Blobs().Path(blobDigest)+".partial", func(b string) string { return b[:9] + "\x00\x00" + b[11:] })
		}, []int64{0, 4}},
		"cut short": {func(t *testing.T, s *store.Store) {
			if err := os.Truncate(s.Blobs().Path(blobDigest)+".partial", 10); err != nil {
				t.Fatal(err)
			}
		}, []int64{0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			p := partial(t, s)
			if len(p.There()) != 0 {
				t.Fatalf("a new partial has %v", p.There())
			}
			putRange(t, p, 8, 12)
			putRange(t, p, 0, 4)
			if _, err := p.WriteAt([]byte("xyz"), 20); err != nil { // not recorded: not there
				t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			c.meanwhile(t, s)
			for range 2 { // the map is written anew; what it says stays
				p = partial(t, s)
				if got := there(p); !slices.Equal(got, c.want) {
					t.Errorf("there is %v, want %v", got, c.want)
				}
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestPartialIsLocked(t *testing.T) {
	s := open(t)
	p := partial(t, s)
	putRange(t, p, 0, 4)
	other := partial(t, s)
	if got := there(other); got != nil {
		t.Errorf("the second has %v", got)
	}
	putRange(t, other, 0, 4)
	if removed, err := s.Blobs().RemovePartial(blobDigest); removed || err != nil {
		t.Errorf("a partial in use was removed: %v, %v", removed, err)
	}
	if err := errors.Join(other.Close(), other.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(s.Dirs().Layers, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("the private partial left %v, %v", left, err)
	}
	blobs, err := s.Blobs().List()
	if err != nil || len(blobs) != 1 || !blobs[0].Partial || blobs[0].Digest != blobDigest || blobs[0].Size == 0 {
		t.Errorf("blobs %+v, %v", blobs, err)
	}
	if removed, err := s.Blobs().RemovePartial(blobDigest); !removed || err != nil {
		t.Errorf("a stale partial was not removed: %v, %v", removed, err)
	}
	nothingLeft(t, s)
}

func nothingLeft(t *testing.T, s *store.Store) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(s.Blobs().Path(blobDigest)))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestPartialIsKeptOrDropped(t *testing.T) {
	s := open(t)
	if s.Blobs().Has(blobDigest) {
		t.Error("an empty store has the blob")
	}
	p := partial(t, s)
	putRange(t, p, 0, 8)
	if err := p.Drop(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, s)
	for range 2 { // the second replaces the first
		p = partial(t, s)
		putRange(t, p, 0, len(blobText))
		if err := errors.Join(p.Keep(), p.Drop(), p.Close()); err != nil {
			t.Fatal(err)
		}
		f, err := s.Blobs().Open(blobDigest)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || string(raw) != blobText {
			t.Errorf("blob %q, %v", raw, err)
		}
	}
	if err := s.Blobs().Remove(blobDigest); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, s)
}

func TestBlobAfterARestart(t *testing.T) {
	s := open(t)
	keep := func() {
		p := partial(t, s)
		putRange(t, p, 0, len(blobText))
		if err := p.Keep(); err != nil {
			t.Fatal(err)
		}
		anotherBoot(t, s.Blobs().Path(blobDigest)+".unsynced")
	}
	keep()
	if !s.Blobs().Has(blobDigest) {
		t.Error("a good blob is not trusted after a restart")
	}
	if _, err := os.Stat(s.Blobs().Path(blobDigest) + ".unsynced"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is read again each time")
	}
	keep()
	edit(t, s.Blobs().Path(blobDigest), func(b string) string { return strings.Replace(b, "7", "\x00", 1) })
	if _, err := s.Blobs().Open(blobDigest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged blob: %v", err)
	}
	nothingLeft(t, s)
}

// odd are the ways to put something in the place of a file that is none.
var odd = map[string]func(path, outside string) error{
	"link":            func(path, outside string) error { return os.Symlink(outside, path) },
	"link to nothing": func(path, _ string) error { return os.Symlink("/nonexistent", path) },
	"pipe":            func(path, _ string) error { return syscall.Mkfifo(path, 0o600) },
	"directory": func(path, outside string) error {
		return errors.Join(os.Mkdir(path, 0o700), os.Symlink(outside, filepath.Join(path, "link")), os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	},
}

// What is no file and lies where a blob, a part of one, its map or its mark belongs is taken away, by who needs the place and by
// prune; it holds nobody, and what a link leads to stays.
func TestWhatIsNoFile(t *testing.T) {
	for what, lay := range odd {
		for _, suffix := range []string{"", ".partial", ".map", ".unsynced"} {
			t.Run(what+suffix, func(t *testing.T) {
				s := open(t)
				outside := filepath.Join(t.TempDir(), "outside")
				if err := os.WriteFile(outside, []byte(blobText), 0o600); err != nil {
					t.Fatal(err)
				}
				path := s.Blobs().Path(blobDigest) + suffix
				place := func() {
					t.Helper()
					if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), lay(path, outside)); err != nil {
						t.Fatal(err)
					}
				}
				place()
				if suffix == "" && s.Blobs().Has(blobDigest) {
					t.Error("it counts as the blob")
				}
				p := partial(t, s)
				if len(p.There()) != 0 {
					t.Errorf("there is %v", p.There())
				}
				putRange(t, p, 0, len(blobText))
				if err := p.Keep(); err != nil || !s.Blobs().Has(blobDigest) {
					t.Errorf("kept: %v, %v", s.Blobs().Has(blobDigest), err)
				}
				if err := s.Blobs().Remove(blobDigest); err != nil {
					t.Error(err)
				}
				nothingLeft(t, s)
				place()
				if _, err := s.Usage(); err != nil {
					t.Error(err)
				}
				for _, dryRun := range []bool{true, false} {
					if _, err := s.Prune(t.Context(), store.PruneOptions{DryRun: dryRun}); err != nil {
						t.Error(err)
					}
				}
				nothingLeft(t, s)
				if raw, err := os.ReadFile(outside); err != nil || string(raw) != blobText {
					t.Errorf("outside is %q, %v", raw, err)
				}
			})
		}
	}
}

// A blob whose mark is no file may have been written before a restart.
func TestABlobWithAnOddMark(t *testing.T) {
	s := open(t)
	p := partial(t, s)
	putRange(t, p, 0, len(blobText))
	mark := s.Blobs().Path(blobDigest) + ".unsynced"
	if err := errors.Join(p.Keep(), os.Remove(mark), os.Mkdir(mark, 0o700)); err != nil {
		t.Fatal(err)
	}
	edit(t, s.Blobs().Path(blobDigest), func(b string) string { return strings.Replace(b, "7", "\x00", 1) })
	if _, err := s.Blobs().Open(blobDigest); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a damaged blob: %v", err)
	}
	nothingLeft(t, s)
}

func TestBlobsRefuseBadDigests(t *testing.T) {
	s := open(t)
	for _, d := range []digest.Digest{"", "sha256:../../x", "sha512:" + digest.Digest(strings.Repeat("a", 128))} {
		_, openErr := s.Blobs().Open(d)
		_, partialErr := s.Blobs().Partial(d, 1)
		_, removeErr := s.Blobs().RemovePartial(d)
		for n, err := range []error{openErr, partialErr, removeErr, s.Blobs().Remove(d)} {
			if err == nil {
				t.Errorf("call %d takes %q", n, d)
			}
		}
	}
}
