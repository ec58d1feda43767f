package inflate

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"
)

// INFLATE_BENCH names a gzip file to measure with, such as a layer's blob. Otherwise it is a tar of /usr/lib.
var subject = sync.OnceValues(func() ([]byte, error) {
	if name := os.Getenv("INFLATE_BENCH"); name != "" {
		return os.ReadFile(name)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	left := int64(64 << 20)
	err := filepath.WalkDir("/usr/lib", func(path string, e fs.DirEntry, err error) error {
		if err != nil || left <= 0 || !e.Type().IsRegular() {
			return nil // what cannot be read is left out
		}
		content, err := os.ReadFile(path)
		if err != nil || int64(len(content)) > left/4 {
			return nil
		}
		left -= int64(len(content))
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
})

// used is the processor time of this process, in nanoseconds; unlike the clock it does not mind what else runs.
func used(b *testing.B) int64 {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

// BenchmarkReader compares with what there is for Go; MB/cpu-s is output by processor time in the best round.
func BenchmarkReader(b *testing.B) {
	stream, err := subject()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		open func(io.Reader) (io.Reader, error)
	}{
		{"coracle", func(r io.Reader) (io.Reader, error) { return NewReader(r) }},
		{"klauspost", func(r io.Reader) (io.Reader, error) { return kgzip.NewReader(r) }},
		{"go", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			best, bytesOut := 0.0, int64(0)
			for b.Loop() {
				before := used(b)
				z, err := c.open(bytes.NewReader(stream))
				if err != nil {
					b.Fatal(err)
				}
				if bytesOut, err = io.Copy(io.Discard, z); err != nil {
					b.Fatal(err)
				}
				best = max(best, float64(bytesOut)/float64(used(b)-before)*1e3)
			}
			b.SetBytes(bytesOut)
			b.ReportMetric(best, "MB/cpu-s")
		})
	}
}

// BenchmarkHeaders is the worst there is for a decoder: blocks that are all header, the tables of each made for nothing.
func BenchmarkHeaders(b *testing.B) {
	empty := w()
	for range 10_000 {
		empty.block(0, 2).lengths(257, 1, join(lens(257, 'a', 1, 256, 1), lens(1))).put(1, 1).block(0, 1).fixedLit(256)
	}
	stream := member(empty.block(1, 1).fixedLit(256).done(), nil)
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		if _, err := all(stream, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
