package pull

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/inflate"
)

func TestTee(t *testing.T) {
	content := []byte(strings.Repeat("0123456789abcdef", 3*inflate.ChunkSize/16) + "the end")
	for name, read := range map[string]func(*tee) ([]byte, error){
		"Read": func(t *tee) ([]byte, error) { return io.ReadAll(t) },
		"Next": func(t *tee) ([]byte, error) {
			var got []byte
			for {
				b, err := t.Next()
				got = append(got, b...)
				if err != nil {
					return got, err
				}
			}
		},
		"both": func(t *tee) ([]byte, error) {
			var got []byte
			for {
				var some [1000]byte
				n, err := t.Read(some[:])
				got = append(got, some[:n]...)
				if err != nil {
					return got, err
				}
				b, err := t.Next()
				got = append(got, b...)
				if err != nil {
					return got, err
				}
			}
		},
	} {
		for _, queue := range []int{1, 8} {
			in := newTee(&filled{r: iotest.HalfReader(bytes.NewReader(content))}, queue)
			got, err := read(in)
			if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, content) {
				t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(content), err)
			}
			if in.digest() != digest.FromBytes(content) {
				t.Errorf("%s: the digest is wrong", name)
			}
			if _, err := in.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("%s: behind the end: %v", name, err)
			}
			in.stop()
			in.wait()
		}
	}
}

// What came before an error is handed on, and then the error.
func TestTeeFails(t *testing.T) {
	failure := errors.New("of the source")
	in := newTee(&filled{r: io.MultiReader(strings.NewReader("some bytes"), iotest.ErrReader(failure))}, 2)
	defer in.wait()
	defer in.stop()
	got, err := io.ReadAll(in)
	if string(got) != "some bytes" || !errors.Is(err, failure) {
		t.Errorf("%q, %v", got, err)
	}
}

// A tee whose reader goes ends, whatever waits in it.
func TestTeeStops(t *testing.T) {
	in := newTee(&filled{r: endless{}}, 2)
	if _, err := in.Next(); err != nil {
		t.Fatal(err)
	}
	in.stop()
	in.stop()
	in.wait()
	for range 5 { // what waited may come or not; then it is closed
		if _, err := in.Next(); err != nil {
			if !errors.Is(err, errClosed) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("not closed")
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
