package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/oci/unpack"
)

// Archives of names that get in each other's way, with everything an archive can have. The ways to unpack must agree.
func TestWritersAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 2026))
	parts := []string{"a", "b", "c", "dd", "usr"}
	name := func() string {
		n := parts[random.IntN(len(parts))]
		for range random.IntN(4) {
			n += "/" + parts[random.IntN(len(parts))]
		}
		return n
	}
	for range 8 {
		var entries []*tar.Header
		for i := range 20 + random.IntN(80) {
			n := name()
			size := random.IntN(300)
			switch random.IntN(16) {
			case 0:
				size = 60<<10 + random.IntN(10<<10)
			case 1:
				size = 300 << 10
			}
			parent, base := filepath.Split(n)
			switch random.IntN(14) {
			case 0, 1:
				entries = append(entries, dir(n, mode([]int64{0o755, 0o700, 0o1777}[random.IntN(3)]), at(time.Unix(int64(1e9+i), 5))))
			case 2:
				entries = append(entries, symlink(n, []string{"/", "", "../", "/usr/"}[random.IntN(4)]+name()))
			case 3:
				entries = append(entries, hardlink(n, name()))
			case 4:
				entries = append(entries, file(parent+".wh."+base, ""))
			case 5:
				entries = append(entries, file(parent+".wh..wh..opq", ""))
			case 6:
				entries = append(entries, file(n, "attributed", xattr("user.a", "b"), xattr("security.capability", "c")))
			case 7:
				entries = append(entries, e(tar.TypeFifo, n))
			default:
				content := strings.Repeat(fmt.Sprintf("%d %s ", i, n), size/4+1)[:size]
				entries = append(entries, file(n, content, mode(int64(0o444+random.IntN(0o334))), owner(random.IntN(2), 0), at(time.Unix(int64(1e9+i), 0))))
			}
		}
		// Hard links to nothing end most of these early; without the failing entry they go on.
		for {
			_, _, err := layer(t, unpack.Options{}, entries...)
			var bad *unpack.EntryError
			if err == nil || t.Failed() {
				break
			}
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			left := entries[:0:0]
			for _, h := range entries {
				if h.Name != bad.Name || h.Typeflag != tar.TypeLink && !strings.Contains(err.Error(), "symbolic links") {
					left = append(left, h)
				}
			}
			if len(left) == len(entries) {
				t.Fatal(err)
			}
			entries = left
		}
	}
}

// Many files in few directories and few in many.
func TestManyFiles(t *testing.T) {
	var entries []*tar.Header
	for i := range 500 {
		entries = append(entries, file(fmt.Sprintf("big/%d", i), strings.Repeat("x", i)))
	}
	for i := range 100 {
		d := fmt.Sprintf("lib/p%d", i)
		entries = append(entries, dir(d), file(d+"/__init__.py", ""), file(d+"/a.py", strings.Repeat("y", i)), symlink(d+"/b.py", "a.py"), hardlink(d+"/c.py", d+"/a.py"))
	}
	told := int64(0)
	_, stats, err := layer(t, unpack.Options{Progress: func(n int64) { told += n }}, entries...)
	if all := int64(len(entries)); err != nil || stats.Entries != all || told != all*int64(len(ways)) {
		t.Errorf("%d entries, %d told, want %d (%v)", stats.Entries, told, all, err)
	}
}

// The entry that fails first in the archive is told, whoever comes to fail first.
func TestFirstFailureIsTold(t *testing.T) {
	var entries []*tar.Header
	for i := range 150 {
		entries = append(entries, file(fmt.Sprintf("d%d/f%d", i%7, i), "x"))
	}
	for _, c := range []struct {
		name   string
		faults map[string]bool
		escape int // the entry that leaves the layer, if any
		want   string
	}{
		{"two in the crew", map[string]bool{"f100": true, "f71": true, "f149": true}, 0, "d1/f71"},
		{"the reader after the crew", map[string]bool{"f110": true}, 120, "d5/f110"},
		{"the crew after the reader", map[string]bool{"f130": true}, 120, "../x"},
		{"the last", map[string]bool{"f149": true}, 0, "d2/f149"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := append([]*tar.Header(nil), entries...)
			if c.escape > 0 {
				all[c.escape] = file("../x", "")
			}
			raw := archive(t, all...)
			restore := fsx.InjectFaults(func(op, path string) error {
				if op == "create" && c.faults[path] {
					return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
				}
				return nil
			})
			defer restore()
			for range 2 {
				for _, w := range ways {
					_, err := unpack.Layer(t.Context(), w.reader(raw), t.TempDir(), w.options(unpack.Options{}))
					var entry *unpack.EntryError
					if !errors.As(err, &entry) || entry.Name != c.want {
						t.Fatalf("%s: error %v, want one of the entry %s", w.name, err, c.want)
					}
				}
			}
		})
	}
}

// Once Layer has returned nothing is done any more, whatever it returned for.
func TestNothingRunsOn(t *testing.T) {
	var entries []*tar.Header
	for i := range 700 {
		entries = append(entries, file(fmt.Sprintf("d%d/f%d", i%50, i), "x"))
	}
	raw := archive(t, entries...)
	gone := errors.New("gone")
	for _, w := range ways {
		for _, cancelled := range []bool{true, false} {
			ctx, cancel := context.WithCancelCause(t.Context())
			before := descriptors(t)
			var steps atomic.Int64
			restore := fsx.InjectFaults(func(op, path string) error {
				switch n := steps.Add(1); {
				case n == 250 && cancelled:
					cancel(gone)
				case n == 250:
					return gone
				}
				return nil
			})
			_, err := unpack.Layer(ctx, w.reader(raw), t.TempDir(), w.options(unpack.Options{}))
			at := steps.Load()
			if !errors.Is(err, gone) {
				t.Errorf("%s: error %v", w.name, err)
			}
			time.Sleep(5 * time.Millisecond)
			if now := steps.Load(); now != at {
				t.Errorf("%s: %d steps after the return", w.name, now-at)
			}
			if cancelled && at > 300 {
				t.Errorf("%s: %d steps were taken", w.name, at)
			}
			if after := descriptors(t); after > before { // fewer: the collector has closed what an earlier test left
				t.Errorf("%s: %d descriptors before, %d after", w.name, before, after)
			}
			restore()
			cancel(nil)
		}
	}
}

// 64 descriptors are enough.
func TestFewDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}()
	var entries []*tar.Header
	for i := range 120 {
		d := fmt.Sprintf("d%d/e/f", i)
		entries = append(entries, file(d+"/g", "x"), symlink(fmt.Sprintf("l%d", i), d), file(fmt.Sprintf("l%d/h", i), strings.Repeat("y", 1000)))
	}
	if _, _, err := layer(t, unpack.Options{}, entries...); err != nil {
		t.Fatal(err)
	}
}

// Each kind of step fails in the crew, and the error says what it is.
func TestFaultsInTheCrew(t *testing.T) {
	var entries []*tar.Header
	for i := range 100 {
		entries = append(entries, file(fmt.Sprintf("d/f%d", i), "x"))
	}
	raw := archive(t, entries...)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EMFILE, syscall.EROFS, syscall.EDQUOT} {
		for _, op := range []string{"create", "write"} {
			restore := fsx.InjectFaults(func(got, path string) error {
				if got == op && path == "f75" {
					return &fs.PathError{Op: op, Path: path, Err: errno}
				}
				return nil
			})
			for _, w := range ways {
				if _, err := unpack.Layer(t.Context(), w.reader(raw), t.TempDir(), w.options(unpack.Options{})); !errors.Is(err, errno) {
					t.Errorf("%s: %s: error %v, want %v", w.name, op, err, errno)
				}
			}
			restore()
		}
	}
}

// GNU tar's sparse files, in each of its formats, keep their holes and their content.
func TestSparse(t *testing.T) {
	tool := need.Tool(t, "tar")
	source := t.TempDir()
	f, err := os.Create(filepath.Join(source, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{100, 3 << 20, 3<<20 + 70<<10, 9 << 20} {
		if _, err := f.WriteAt([]byte("content at "+fmt.Sprint(at)), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(12<<20+5), f.Close()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(source, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"--format=gnu", "--format=pax --sparse-version=0.0", "--format=pax --sparse-version=0.1", "--format=pax --sparse-version=1.0"} {
		raw, err := exec.Command(tool, append(strings.Fields(format), "-c", "--sparse", "-C", source, "sparse")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 1<<20 {
			t.Fatalf("%s: an archive of %d bytes is not sparse", format, len(raw))
		}
		root, stats, err := stream(t, unpack.Options{}, raw)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		got, err := os.ReadFile(filepath.Join(root, "sparse"))
		if err != nil || !bytes.Equal(got, want) || stats.Bytes != int64(len(want)) {
			t.Errorf("%s: content differs (%v)", format, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(root, "sparse"), &st); err != nil || st.Blocks*512 > 1<<20 {
			t.Errorf("%s: %d bytes on the disk (%v)", format, st.Blocks*512, err)
		}
	}
}

// Long runs of zeros take no room, and everything else is as it was.
func TestZeros(t *testing.T) {
	t.Setenv("TMPDIR", "/var/tmp") // likely a disk: see canAllocate
	noise := strings.Repeat("0123456789abcdef", 20<<10)
	zeros := strings.Repeat("\x00", 512<<10)
	var entries []*tar.Header
	long := noise + noise + noise + noise + "odd"
	files := []string{
		zeros, noise + zeros, zeros + noise, noise + zeros + noise, zeros + "x", noise + zeros[:5000] + noise, "x" + zeros,
		long, long + zeros, zeros + long + zeros + long, long + zeros + long[:100], zeros + zeros + zeros,
	}
	for i, content := range files {
		entries = append(entries, file(fmt.Sprint(i), content))
	}
	if _, _, err := layer(t, unpack.Options{}, entries...); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if _, err := unpack.Layer(t.Context(), bytes.NewReader(archive(t, entries...)), root, unpack.Options{}); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, "0"), &st); err != nil || st.Size != int64(len(zeros)) || st.Blocks != 0 {
		t.Errorf("a file of zeros has %d bytes in %d blocks (%v)", st.Size, st.Blocks, err)
	}
	if err := unix.Stat(filepath.Join(root, "8"), &st); err != nil || st.Blocks*512 > int64(len(long)+64<<10) {
		t.Errorf("%d bytes and zeros take %d blocks (%v)", len(long), st.Blocks, err)
	}
	for i, content := range files {
		if got, err := os.ReadFile(filepath.Join(root, fmt.Sprint(i))); err != nil || string(got) != content {
			t.Errorf("file %d differs (%v)", i, err)
		}
	}
}

// A large directory goes from one writer to another while that one has something half full itself.
func TestLargeDirectoryMovesOn(t *testing.T) {
	restore := fsx.InjectFaults(func(op, path string) error {
		if op == "create" && strings.HasPrefix(path, "slow") {
			time.Sleep(200 * time.Microsecond)
		}
		return nil
	})
	defer restore()
	content := strings.Repeat("x", 60<<10)
	entries := []*tar.Header{file("large/first", "x")}
	for i := range 4 { // 240 of 256 KiB of the other writer's batch
		entries = append(entries, file(fmt.Sprint("small/", i), content))
	}
	for i := range 200 {
		entries = append(entries, file(fmt.Sprint("large/slow", i), content[:20<<10]))
	}
	stats, err := unpack.Layer(t.Context(), bytes.NewReader(archive(t, entries...)), t.TempDir(), unpack.Options{Writers: 2})
	if err != nil || stats.Entries != int64(len(entries)) {
		t.Errorf("%d entries of %d (%v)", stats.Entries, len(entries), err)
	}
}
