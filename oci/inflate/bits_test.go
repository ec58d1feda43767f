package inflate

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/bits"
)

// bitWriter makes DEFLATE streams by hand.
type bitWriter struct {
	out  []byte
	acc  uint64
	held uint
}

// put writes the low n bits of v, the lowest first.
func (w *bitWriter) put(v uint64, n uint) *bitWriter {
	w.acc |= v << w.held
	for w.held += n; w.held >= 8; w.held -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
	return w
}

// word writes a code word, the highest of its n bits first.
func (w *bitWriter) word(v uint64, n uint) *bitWriter { return w.put(bits.Reverse64(v)>>(64-n), n) }

func (w *bitWriter) align() *bitWriter { return w.put(0, (8-w.held)%8) }

// done is all that was written, to whole bytes.
func (w *bitWriter) done() []byte { return w.align().out }

// block writes the header of a block.
func (w *bitWriter) block(final, kind uint64) *bitWriter { return w.put(final, 1).put(kind, 2) }

// fixedLit writes a symbol of the fixed code for literals and lengths.
func (w *bitWriter) fixedLit(s uint64) *bitWriter {
	switch {
	case s < 144:
		return w.word(0x30+s, 8)
	case s < 256:
		return w.word(0x190+s-144, 9)
	case s < 280:
		return w.word(s-256, 7)
	}
	return w.word(0xc0+s-280, 8)
}

// lengths writes the header of a coded block: lens are those of the literals' and then the distances' words, written one by
// one with a code of four bits for 0 to 15.
func (w *bitWriter) lengths(lits, dists int, lens []uint8) *bitWriter {
	w.put(uint64(lits-257), 5).put(uint64(dists-1), 5).put(19-4, 4)
	for _, s := range codeOrder {
		if s < 16 {
			w.put(4, 3)
		} else {
			w.put(0, 3)
		}
	}
	for _, n := range lens {
		w.word(uint64(n), 4)
	}
	return w
}

// header of a member without anything.
var header = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// member wraps a DEFLATE stream of content.
func member(deflated, content []byte) []byte {
	b := append(bytes.Clone(header), deflated...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(content))
	return binary.LittleEndian.AppendUint32(b, uint32(len(content)))
}

// reference decodes a DEFLATE stream as Go does.
func reference(deflated []byte) (content []byte, used int, err error) {
	r := bytes.NewReader(deflated)
	content, err = io.ReadAll(flate.NewReader(r))
	return content, len(deflated) - r.Len(), err
}

// raw decodes a DEFLATE stream, in reads of step bytes.
func raw(deflated []byte, step int) (content []byte, used int, err error) {
	z := new(Reader)
	z.d.src = &steps{r: bytes.NewReader(deflated), n: step}
	z.d.out, z.d.pos = NewChunk(), window
	z.d.begin()
	for {
		end, err := z.d.run()
		content = append(content, z.d.out.buf[window:z.d.pos]...)
		if err != nil || end {
			return content, int(z.d.offset()), err
		}
		old := z.d.out
		z.d.rotate(NewChunk())
		old.Release()
	}
}

// steps reads n bytes at a time.
type steps struct {
	r io.Reader
	n int
}

func (s *steps) Read(p []byte) (int, error) { return s.r.Read(p[:min(s.n, len(p))]) }

// all reads a stream to its end, in reads of step bytes.
func all(stream []byte, step int) ([]byte, error) {
	z, err := NewReader(&steps{r: bytes.NewReader(stream), n: step})
	if err != nil {
		return nil, err
	}
	var content []byte
	for {
		c, err := z.Next()
		if errors.Is(err, io.EOF) {
			return content, nil
		}
		if err != nil {
			return content, err
		}
		content = append(content, c.Bytes()...)
		c.Release()
	}
}

// isPrefix reports whether the shorter one is how the longer one begins.
func isPrefix(a, b []byte) bool {
	n := min(len(a), len(b))
	return bytes.Equal(a[:n], b[:n])
}
