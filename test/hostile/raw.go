package hostile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const blockSize = 512

// header is a tar header, field by field, for what archive/tar will not write. Numbers are octal text, or anything else.
type header struct {
	kind         byte // '0' when it is 0; v7 for the zero byte of old
	name, prefix string
	link         string
	mode         string // "0000644"
	uid, gid     string
	size         string // that of body
	mtime        string
	major, minor string
	magic        string // POSIX: "ustar\x0000"; GNU: "ustar  \x00"
	checksum     string // the right one
	tail         []byte // the last 167 bytes, where GNU has its sparse map; in place of prefix
	body         []byte // padded to whole blocks
}

const v7 = 0xff

const (
	posix = "ustar\x0000"
	gnu   = "ustar  \x00"
)

// block is the header with its body.
func (h header) block() []byte {
	b := make([]byte, blockSize)
	put := func(offset, width int, text, otherwise string) {
		if text == "" {
			text = otherwise
		}
		copy(b[offset:offset+width], text)
	}
	put(0, 100, h.name, "")
	put(100, 8, h.mode, "0000644")
	put(108, 8, h.uid, "0000000")
	put(116, 8, h.gid, "0000000")
	put(124, 12, h.size, fmt.Sprintf("%011o", len(h.body)))
	put(136, 12, h.mtime, "13727402000") // 2020-09-13
	switch b[156] = h.kind; h.kind {
	case 0:
		b[156] = '0'
	case v7:
		b[156] = 0
	}
	put(157, 100, h.link, "")
	put(257, 8, h.magic, posix)
	put(329, 8, h.major, "0000000")
	put(337, 8, h.minor, "0000000")
	put(345, 155, h.prefix, "")
	copy(b[345:], h.tail)
	put(148, 8, h.checksum, checksum(b))
	return slices.Concat(b, padded(h.body))
}

// checksum is the field for the sum of a header's bytes, taken with the field itself as spaces (POSIX, pax, ustar format).
func checksum(b []byte) string {
	sum := 8 * int(' ')
	for i, c := range b {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	return fmt.Sprintf("%06o\x00 ", sum)
}

func padded(body []byte) []byte {
	return append(slices.Clone(body), make([]byte, -len(body)&(blockSize-1))...)
}

// stream is an archive of the parts.
func stream(parts ...[]byte) []byte {
	return append(bytes.Join(parts, nil), make([]byte, 2*blockSize)...)
}

// record is one line of a PAX extended header (POSIX, pax, "pax Extended Header").
func record(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	size := len(rest) + 1
	for len(rest)+len(fmt.Sprint(size)) != size {
		size = len(rest) + len(fmt.Sprint(size))
	}
	return fmt.Sprint(size) + rest
}

// pax is an extended header for the next entry, of alternating keys and values.
func pax(pairs ...string) []byte { return extended('x', pairs) }

// global is an extended header for all entries that follow.
func global(pairs ...string) []byte { return extended('g', pairs) }

func extended(kind byte, pairs []string) []byte {
	var text strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		text.WriteString(record(pairs[i], pairs[i+1]))
	}
	return header{kind: kind, name: "PaxHeaders/x", body: []byte(text.String())}.block()
}

// long is GNU's way to give the next entry a long name ('L') or a long link ('K').
func long(kind byte, name string) []byte {
	return header{kind: kind, name: "././@LongLink", magic: gnu, body: append([]byte(name), 0)}.block()
}

// plain is a regular file.
func plain(name, body string) []byte { return header{name: name, body: []byte(body)}.block() }

// base256 is a number as GNU writes those that octal has no room for: big endian, two's complement, the first bit set.
func base256(width int, value int64) string {
	b := make([]byte, width)
	for i := range b {
		if value < 0 {
			b[i] = 0xff
		}
	}
	for i := range min(8, width) {
		b[width-1-i] = byte(value >> (8 * i))
	}
	b[0] |= 0x80
	return string(b)
}
