package inflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"

	kgzip "github.com/klauspost/compress/gzip"
)

// FuzzDeflate compares with Go's compress/flate on arbitrary bytes: the same are refused; of the others content and length are the
// same. Once as they are, in small reads, and once with much behind them, so that the fast loop decodes them.
func FuzzDeflate(f *testing.F) {
	for _, stream := range [][]byte{
		w().block(1, 1).fixedLit('a').fixedLit(285).word(0, 5).fixedLit(284).put(30, 5).word(9, 5).put(3, 3).fixedLit(256).done(),
		w().block(1, 2).lengths(258, 16, join(lens(258, 'a', 1, 256, 2, 257, 2), deep(16, 0))).word(0, 1).word(3, 2).word(0, 1).word(2, 2).done(),
		w().block(1, 2).lengths(257, 1, join(deep(257, 241), lens(1))).word(1<<14-2, 14).word(0, 1).word(1<<15-1, 15).done(),
	} {
		f.Add(stream, uint16(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint16) {
		want, used, wantErr := reference(stream)
		behind := append(bytes.Clone(stream), make([]byte, 300)...)
		wantBehind, usedBehind, behindErr := reference(behind)
		for _, c := range []struct {
			name   string
			stream []byte
			step   int
			want   []byte
			used   int
			err    error
		}{
			{"in steps", stream, int(step) + 1, want, used, wantErr},
			{"at once", stream, 1 << 20, want, used, wantErr},
			{"with much behind", behind, 1 << 20, wantBehind, usedBehind, behindErr},
			{"with much behind, in steps", behind, int(step) + 1, wantBehind, usedBehind, behindErr},
		} {
			got, end, err := raw(c.stream, c.step)
			if (err == nil) != (c.err == nil) {
				t.Fatalf("%s: %v, Go: %v", c.name, err, c.err)
			}
			if !isPrefix(got, c.want) || err == nil && (len(got) != len(c.want) || end != c.used) {
				t.Fatalf("%s: %d bytes from %d, Go %d from %d", c.name, len(got), end, len(c.want), c.used)
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
	})
}

// FuzzGzip compares with Go's and klauspost's gzip on content that is compressed in all ways and then perhaps damaged.
func FuzzGzip(f *testing.F) {
	f.Add([]byte("some text, some text, some more text"), uint8(6), uint16(0), uint8(0), uint16(100))
	f.Add(bytes.Repeat([]byte("abc"), 3000), uint8(1), uint16(30), uint8(0x10), uint16(1))
	f.Add(make([]byte, 700), uint8(240), uint16(12), uint8(0), uint16(33))
	f.Fuzz(func(t *testing.T, content []byte, how uint8, at uint16, flip uint8, step uint16) {
		if len(content) > 10_000 {
			return // the rest is for speed
		}
		level := int(how>>1)%12 + gzip.HuffmanOnly
		long := bytes.Repeat(content, 1+int(how>>5)*4)
		stream := compress(t, long, level, how&1 == 0)
		if how&16 != 0 {
			stream = append(stream, stream...)
		}
		stream[int(at)%len(stream)] ^= flip
		compare(t, stream, int(step)+1)
	})
}

// FuzzStream compares on arbitrary bytes behind a good header, with and without a right trailer.
func FuzzStream(f *testing.F) {
	f.Add(member(w().block(1, 1).fixedLit('x').fixedLit(256).done(), []byte("x"))[3:], uint16(9))
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\xffname\x00"), uint16(9))
	f.Fuzz(func(t *testing.T, rest []byte, step uint16) {
		compare(t, append([]byte{0x1f, 0x8b, 8}, rest...), int(step)+1)
		if content, used, err := reference(rest); err == nil {
			right := member(rest[:used], content)
			compare(t, right, int(step)+1)
			compare(t, append(right, rest[used:]...), int(step)+1)
		}
	})
}

func compare(t *testing.T, stream []byte, step int) {
	t.Helper()
	want, wantErr := decode(gzip.NewReader(bytes.NewReader(stream)))
	also, alsoErr := decode(kgzip.NewReader(bytes.NewReader(stream)))
	got, err := all(stream, step)
	// Reserved flags are for klauspost an error, too, and for Go not.
	if (err == nil) != (wantErr == nil && alsoErr == nil) {
		t.Fatalf("%v; Go: %v; klauspost: %v", err, wantErr, alsoErr)
	}
	if !isPrefix(got, want) || !isPrefix(got, also) || err == nil && (len(got) != len(want) || len(got) != len(also)) {
		t.Fatalf("%d bytes; Go: %d; klauspost: %d", len(got), len(want), len(also))
	}
}

func decode[R io.Reader](z R, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
