package inflate

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	inSize = 64 << 10
	inMask = inSize - 1

	// margin is what must be at hand for a round of the fast loop: two refills, which look at 8 bytes and take 7 at most.
	margin = 32

	// history is how many bytes before the position are kept, so that those that wait in the bit buffer can be given back.
	history = 8

	emptyReads = 100 // in a row, before a source is given up
)

// input is the compressed stream, as bytes and as bits.
type input struct {
	src  io.Reader
	err  error // of src, after which it is not read again
	base int64 // the place of buf[0] in the stream

	bits uint64 // what comes next, the first bit lowest; beyond count they are zero
	held uint   // how many bits

	pos, end int // buf[pos:end] comes after bits
	buf      [inSize + margin]byte
}

// offset is how many bytes of the stream have been used, in part or whole.
func (in *input) offset() int64 { return in.base + int64(in.pos) - int64(in.held/8) }

// load reads once, when all bytes are used. At the end of the source it returns io.EOF.
func (in *input) load() error {
	if in.err != nil {
		return in.err
	}
	if keep := max(in.pos-history, 0); keep > 0 {
		copy(in.buf[:], in.buf[keep:in.end])
		in.base += int64(keep)
		in.pos -= keep
		in.end -= keep
	}
	for range emptyReads {
		var n int
		n, in.err = in.src.Read(in.buf[in.end:inSize])
		in.end += n
		if n > 0 {
			return nil
		}
		if in.err != nil {
			return in.err
		}
	}
	in.err = errNoProgress
	return in.err
}

// more is load where the stream must go on.
func (in *input) more() error {
	err := in.load()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// need makes sure that n bits are held, at most 48. It never reads more bytes than that takes.
func (in *input) need(n uint) error {
	for in.held < n {
		if in.pos == in.end {
			if err := in.more(); err != nil {
				return err
			}
		}
		in.bits |= uint64(in.buf[in.pos]) << in.held
		in.pos++
		in.held += 8
	}
	return nil
}

// take uses n bits, which must be held.
func (in *input) take(n uint) uint {
	v := in.bits & (1<<n - 1)
	in.bits >>= n
	in.held -= n
	return uint(v)
}

// align goes on at the next whole byte.
func (in *input) align() {
	in.pos -= int(in.held / 8)
	in.bits, in.held = 0, 0
}

// readByte is the next byte, after align. At the end of the source it returns io.EOF.
func (in *input) readByte() (byte, error) {
	if in.pos == in.end {
		if err := in.load(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.pos]
	in.pos++
	return b, nil
}

// readFull fills p, after align.
func (in *input) readFull(p []byte) error {
	for len(p) > 0 {
		if in.pos == in.end {
			if err := in.more(); err != nil {
				return err
			}
		}
		n := copy(p, in.buf[in.pos:in.end])
		in.pos += n
		p = p[n:]
	}
	return nil
}

func load64(b []byte) uint64     { return binary.LittleEndian.Uint64(b) }
func store64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
