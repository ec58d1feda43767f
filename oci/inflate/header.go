package inflate

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Flags of a member (RFC 1952, 2.3.1).
const (
	hasCRC     = 1 << 1
	hasExtra   = 1 << 2
	hasName    = 1 << 3
	hasComment = 1 << 4
	reserved   = 7 << 5
)

// maxString bounds names and comments, their zero included, as Go's compress/gzip does.
const maxString = 512

// header reads past the header of a member. Where the stream ends before it, that is io.EOF.
func (z *Reader) header() error {
	h := headerReader{in: &z.d.input}
	first, err := h.in.readByte()
	if err != nil {
		return err
	}
	var fixed [10]byte
	fixed[0] = first
	if err := h.in.readFull(fixed[1:]); err != nil {
		return err
	}
	if fixed[0] != 0x1f || fixed[1] != 0x8b || fixed[2] != 8 {
		return z.d.corrupt(ErrHeader)
	}
	flags := fixed[3]
	if flags&reserved != 0 {
		return z.d.corrupt(ErrHeader) // "must give an error indication": what follows might not be the content
	}
	h.summing = flags&hasCRC != 0
	h.sum(fixed[:])
	if err := h.fields(flags); err != nil {
		if errors.Is(err, ErrHeader) {
			return z.d.corrupt(err)
		}
		return err
	}
	return nil
}

// headerReader reads the parts of a header that may be there.
type headerReader struct {
	in      *input
	crc     uint32
	summing bool
}

func (h *headerReader) sum(p []byte) {
	if h.summing {
		h.crc = crc32.Update(h.crc, crc32.IEEETable, p)
	}
}

func (h *headerReader) fields(flags byte) error {
	if flags&hasExtra != 0 {
		if err := h.extra(); err != nil {
			return err
		}
	}
	for _, flag := range []byte{hasName, hasComment} {
		if flags&flag != 0 {
			if err := h.text(); err != nil {
				return err
			}
		}
	}
	if h.summing {
		n, err := h.uint16()
		if err == nil && n != uint16(h.crc) {
			err = ErrHeader
		}
		return err
	}
	return nil
}

func (h *headerReader) uint16() (uint16, error) {
	var raw [2]byte
	err := h.in.readFull(raw[:])
	return binary.LittleEndian.Uint16(raw[:]), err
}

func (h *headerReader) extra() error {
	n, err := h.uint16()
	if err != nil {
		return err
	}
	h.sum([]byte{byte(n), byte(n >> 8)})
	var part [256]byte
	for left := int(n); left > 0; {
		p := part[:min(left, len(part))]
		if err := h.in.readFull(p); err != nil {
			return err
		}
		h.sum(p)
		left -= len(p)
	}
	return nil
}

// text reads a string up to its zero.
func (h *headerReader) text() error {
	for range maxString {
		b, err := h.in.readByte()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		h.sum([]byte{b})
		if b == 0 {
			return nil
		}
	}
	return ErrHeader
}
