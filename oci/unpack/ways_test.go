package unpack_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/oci/unpack"
)

// way is one of the ways to unpack, which must all come to the same.
type way struct {
	name    string
	writers int
	memory  int64
	chunk   int // bytes that the reader hands out at a time without a copy; 0: it does not
}

// ways begins with the plainest.
var ways = []way{
	{name: "one goroutine", writers: 1},
	{name: "two writers", writers: 2},
	{name: "eight writers, chunks", writers: 8, chunk: 128 << 10},
	{name: "two writers, chunks that fit nothing", writers: 2, chunk: 77_777},
	{name: "eight writers, hardly any memory, tiny chunks", writers: 8, memory: 3 * 256 << 10, chunk: 700},
	{name: "no memory for writers, chunks", writers: 8, memory: 1, chunk: 4 << 10},
}

func (w way) options(opts unpack.Options) unpack.Options {
	opts.Writers, opts.Memory = w.writers, w.memory
	return opts
}

func (w way) reader(raw []byte) io.Reader {
	if w.chunk == 0 {
		return struct{ io.Reader }{bytes.NewReader(raw)}
	}
	return &chunked{raw: raw, size: w.chunk}
}

// chunked is a reader that has chunks. It spoils each one when the one after the next is asked for.
type chunked struct {
	raw          []byte
	size         int
	before, last []byte
}

func (c *chunked) Next() ([]byte, error) {
	for i := range c.before {
		c.before[i] ^= 0xff
	}
	c.before, c.last = c.last, nil
	if len(c.raw) == 0 {
		return nil, io.EOF
	}
	n := min(c.size, len(c.raw))
	c.last, c.raw = bytes.Clone(c.raw[:n]), c.raw[n:]
	return c.last, nil
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.raw) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.raw)
	c.raw = c.raw[n:]
	return n, nil
}

// stream unpacks an archive in every way, each beside a canary, and fails the test when they differ in the tree, the owners,
// the numbers or the error.
func stream(t *testing.T, opts unpack.Options, raw []byte) (root string, stats unpack.Stats, err error) {
	t.Helper()
	start := time.Now().Add(-time.Second)
	sink := opts.Owners
	var want string
	for i, w := range ways {
		base := t.TempDir()
		root = filepath.Join(base, "root")
		check := canary(t, base)
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		var owners bytes.Buffer
		opts := w.options(opts)
		opts.Owners = &owners
		stats, err = unpack.Layer(t.Context(), w.reader(raw), root, opts)
		check()
		got := fmt.Sprintln("error:", err)
		if err == nil {
			got = fmt.Sprintf("%+v\n%s%s", stats, describe(t, root, start), owners.String())
		}
		if i == 0 {
			want = got
		} else if got != want {
			t.Errorf("%s:\n%s\n%s:\n%s", w.name, got, ways[0].name, want)
		}
		if i == len(ways)-1 && sink != nil {
			if _, err := sink.Write(owners.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root, stats, err
}

// describe lists everything about a tree: types, modes, content, attributes, which names are one file, and times, unless
// they are of this test.
func describe(t *testing.T, root string, start time.Time) string {
	t.Helper()
	var all strings.Builder
	first := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		when := time.Unix(st.Mtim.Unix()).UTC().Format(time.RFC3339Nano)
		if now := time.Now().Add(time.Second); time.Unix(st.Mtim.Unix()).After(start) && time.Unix(st.Mtim.Unix()).Before(now) {
			when = "now"
		}
		fmt.Fprintf(&all, "%q %o %d %s", rel, st.Mode, st.Rdev, when)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " %d %x", len(raw), sha256.Sum256(raw))
		case unix.S_IFLNK:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, " -> %q", to)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			fmt.Fprintf(&all, " is %q", first[st.Ino])
		}
		var names [4096]byte
		if n, err := unix.Llistxattr(path, names[:]); err == nil && n > 0 {
			fmt.Fprintf(&all, " %q", names[:n])
		}
		all.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
