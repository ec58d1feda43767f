package inflate

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Reader inflates a gzip stream. It is for one goroutine at a time.
type Reader struct {
	d   decoder
	err error // what comes behind the bytes in the decoder's chunk

	sum    uint32 // CRC-32 of the member up to summed
	length uint32 // of the member up to summed
	summed int    // in the decoder's chunk

	now  *Chunk // that Read gives out
	rest []byte // of now
}

// NewReader reads the header of a gzip stream. Errors are those of r, io.ErrUnexpectedEOF for a stream that ends in its header,
// and ErrHeader. The Reader reads ahead of what it gives out, by 64 KiB at most.
func NewReader(r io.Reader) (*Reader, error) {
	z := new(Reader)
	z.d.src = r
	if err := z.header(); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	z.d.out, z.d.pos = NewChunk(), window
	z.summed = window
	z.d.begin()
	return z, nil
}

// Next gives the next piece of the uncompressed stream, which the caller has to release; then io.EOF. The last pieces that
// could be decoded come before an error. Nothing may be trusted before io.EOF: only then are all checksums right.
func (z *Reader) Next() (*Chunk, error) {
	if c := z.now; c != nil {
		c.from = c.to - len(z.rest)
		z.now, z.rest = nil, nil
		if c.from < c.to {
			return c, nil
		}
		c.Release()
	}
	for z.err == nil && z.d.pos < full {
		z.err = z.run()
	}
	return z.handOut()
}

// run decodes until the chunk is full or the member has ended and the next begun.
func (z *Reader) run() error {
	end, err := z.d.run()
	if err != nil || !end {
		return err
	}
	if err := z.trailer(); err != nil {
		return err
	}
	if err := z.header(); err != nil {
		return err
	}
	z.d.begin()
	return nil
}

// handOut gives the decoder's chunk away.
func (z *Reader) handOut() (*Chunk, error) {
	c := z.d.out
	if c == nil {
		return nil, z.err
	}
	z.update()
	c.from, c.to = window, z.d.pos
	if z.err == nil {
		z.d.rotate(NewChunk())
	} else {
		z.d.out, z.d.pos = nil, window
	}
	z.summed = window
	if c.from == c.to {
		c.Release()
		return nil, z.err
	}
	return c, nil
}

// update makes the checksum and the length those of all that the member has brought so far.
func (z *Reader) update() {
	fresh := z.d.out.buf[z.summed:z.d.pos]
	z.sum = crc32.Update(z.sum, crc32.IEEETable, fresh)
	z.length += uint32(len(fresh)) // modulo 2^32, as the trailer has it
	z.summed = z.d.pos
}

// trailer checks what a member ends with.
func (z *Reader) trailer() error {
	z.update()
	var raw [8]byte
	if err := z.d.readFull(raw[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(raw[:]) != z.sum || binary.LittleEndian.Uint32(raw[4:]) != z.length {
		return z.d.corrupt(ErrChecksum)
	}
	z.sum, z.length = 0, 0
	return nil
}

// Read implements io.Reader.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(z.rest) == 0 {
		c, err := z.Next()
		if err != nil {
			return 0, err
		}
		z.now, z.rest = c, c.Bytes()
	}
	n := copy(p, z.rest)
	z.rest = z.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (z *Reader) WriteTo(w io.Writer) (total int64, err error) {
	for {
		c, err := z.Next()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(c.Bytes())
		c.Release()
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}
