package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by the compressed form.
func streams() []Layer {
	return []Layer{
		{
			Case:   Case{"gzip-bomb-file", "one file of 128 MiB of zeros in 1 MiB: memory stays, time is bounded by what is written", "\"zip bomb\"; CVE-2024-1394 class", Accept},
			Layers: gzipOf(func(w io.Writer) { bomb(w, 128<<20) }), Tree: Tree{"zeros": "file 0644 of 134217728 bytes"}, Budget: Budget{CPU: 30e9},
		},
		{
			Case:   Case{"gzip-bomb-tail", "128 MiB of zeros after the end of the archive: they count for the digest and are not kept", "own", Accept},
			Layers: gzipOf(func(w io.Writer) { write(w, stream(plain("f", "x"))); zeros(w, 128<<20) }), Tree: Tree{"f": "file 0644 x"}, Budget: Budget{CPU: 30e9},
		},
		{
			Case:   Case{"gzip-bomb-entries", "10,000 empty files in 40 KiB", "own", Accept},
			Layers: gzipOf(manyEntries(10_000)), Tree: Tree{"0": "file 0644"}, Budget: Budget{CPU: 30e9},
		},
		{
			Case:   Case{"gzip-in-gzip", "gzip inside of gzip: one layer of packing is what the media type says", "CVE-2021-22555 class (scanners)", Reject},
			Layers: layerOf(gzipped(small)), Says: "malformed",
		},
		{
			Case:   Case{"gzip-members", "an archive in two concatenated gzip members, cut in the middle of a file", "RFC 1952, 2.2; pigz", Accept},
			Layers: twoMembers(), Tree: Tree{"a": "file 0644 of 3000 bytes", "b": "file 0644 x"},
		},
		{
			Case:   Case{"gzip-members-empty", "100,000 empty gzip members before the archive", "RFC 1952, 2.2", Accept},
			Layers: emptyMembers(100_000), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"gzip-trailing", "bytes after the gzip stream that are no gzip", "RFC 1952; gzip(1) warns", Reject},
			Layers: blob(fixture.Gzip, small, append(gzipped(small), "trailing garbage"...)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-trailing-zeros", "zeros after the gzip stream, as tapes have", "gzip(1) takes them; Go and docker do not", Reject},
			Layers: blob(fixture.Gzip, small, append(gzipped(small), make([]byte, 4096)...)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-crc", "a checksum that is wrong, under a right digest", "RFC 1952, CRC32", Reject},
			Layers: blob(fixture.Gzip, small, flipped(gzipped(small), -8)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-size", "a length field that is wrong", "RFC 1952, ISIZE", Reject},
			Layers: blob(fixture.Gzip, small, flipped(gzipped(small), -1)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-header", "a gzip header with extra field, name, comment and checksum, 500 bytes each", "RFC 1952, 2.3", Accept},
			Layers: blob(fixture.Gzip, small, fullHeader(small, 500)), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"gzip-header-endless", "a gzip header whose name of 64 MiB has no end", "RFC 1952, FNAME", Reject},
			Layers: blob(fixture.Gzip, small, append([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff"), bytes.Repeat([]byte("n"), 64<<20)...)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-reserved", "reserved flags in the gzip header", "RFC 1952, 2.3.1.2: must be refused", Reject},
			Layers: blob(fixture.Gzip, small, withByte(gzipped(small), 3, 0xe0)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-method", "compression method 7", "RFC 1952: 8 is the only one", Reject},
			Layers: blob(fixture.Gzip, small, withByte(gzipped(small), 2, 7)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"deflate-block-type", "a deflate block of the reserved type", "RFC 1951, 3.2.3", Reject},
			Layers: blob(fixture.Gzip, small, append(gzipHeader(), 0x07)), Says: "damaged compressed stream",
		},
		{
			Case: Case{"deflate-distance", "a deflate match from before the beginning: memory of somebody else", "RFC 1951; CVE-2022-37434 class (zlib)", Reject},
			// A fixed block: literal 'x', then length 3 at distance 4.
			Layers: blob(fixture.Gzip, small, append(gzipHeader(), 0xab, 0x00, 0x63, 0x00, 0x00)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"gzip-empty", "a blob of no bytes under the media type of gzip", "own", Reject},
			Layers: blob(fixture.Gzip, nil, nil), Says: "media type",
		},
		{
			Case:   Case{"zstd-labelled-gzip", "a zstd stream under gzip's media type", "CVE-2021-41190 class: two readings", Reject},
			Layers: blob(fixture.Gzip, small, zstded(small)), Says: "media type",
		},
		{
			Case:   Case{"gzip-labelled-plain", "a gzip stream under the media type of a plain archive", "CVE-2021-41190 class; docker detects", Reject},
			Layers: blob(fixture.Plain, small, gzipped(small)), Says: "media type",
		},
		{
			Case:   Case{"plain-labelled-gzip", "a plain archive under gzip's media type", "CVE-2021-41190 class", Reject},
			Layers: blob(fixture.Gzip, small, small), Says: "media type",
		},
		{
			Case:   Case{"zstd-window", "a zstd frame that asks for a window of 512 MiB", "RFC 8878, 3.1.1.1.2", Reject},
			Layers: blob(fixture.Zstd, small, zstdWindow(19)), Says: "window",
		},
		{
			Case:   Case{"zstd-window-max", "a zstd frame that asks for a window of 3.75 TiB", "RFC 8878, 3.1.1.1.2", Reject},
			Layers: blob(fixture.Zstd, small, zstdWindow(31)), Says: "window",
		},
		{
			Case:   Case{"zstd-bomb", "128 MiB of zeros in 32 KiB of zstd", "\"zip bomb\"", Accept},
			Layers: zstdOf(func(w io.Writer) { bomb(w, 128<<20) }), Tree: Tree{"zeros": "file 0644 of 134217728 bytes"}, Budget: Budget{CPU: 30e9},
		},
		{
			Case:   Case{"zstd-dictionary", "a zstd frame that names a dictionary", "RFC 8878, 3.1.1.1.3", Reject},
			Layers: blob(fixture.Zstd, small, zstdDictionary()), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"zstd-skippable", "skippable frames before, between and after, as zstd:chunked and estargz have", "RFC 8878, 3.1.2", Accept},
			Layers: blob(fixture.Zstd, small, bytes.Join([][]byte{skippable(10), zstded(small[:512]), skippable(0), zstded(small[512:]), skippable(100)}, nil)), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"zstd-skippable-only", "a stream of skippable frames alone: an empty archive", "RFC 8878, 3.1.2", Accept},
			Layers: blob(fixture.Zstd, nil, skippable(1000)), Tree: Tree{".": "dir 0755"},
		},
		{
			Case:   Case{"zstd-skippable-lie", "a skippable frame that says it has 4 GiB", "RFC 8878, 3.1.2", Reject},
			Layers: blob(fixture.Zstd, small, append(skippable(0)[:4], 0xff, 0xff, 0xff, 0xff)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"zstd-checksum", "a content checksum that is wrong", "RFC 8878, 3.1.1", Reject},
			Layers: blob(fixture.Zstd, small, flipped(zstded(small), -1)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"zstd-trailing", "bytes after the zstd frame that are no frame", "RFC 8878", Reject},
			Layers: blob(fixture.Zstd, small, append(zstded(small), "garbage!"...)), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"zstd-cut", "a zstd frame without its end", "own", Reject},
			Layers: blob(fixture.Zstd, small, zstded(small)[:40]), Says: "damaged compressed stream",
		},
		{
			Case:   Case{"plain-bzip2", "bzip2, xz and lz4 under the media type of a plain archive", "docker detects; image-spec does not know them", Reject},
			Layers: blob(fixture.Plain, small, append([]byte("BZh91AY&SY"), make([]byte, 1024)...)), Says: "malformed",
		},
	}
}

// small is an archive of one file.
var small = stream(plain("f", "x"))

func write(w io.Writer, b []byte) {
	if _, err := w.Write(b); err != nil {
		panic(err) // it goes to memory
	}
}

func zeros(w io.Writer, n int) {
	block := make([]byte, 1<<20)
	for ; n > 0; n -= len(block) {
		write(w, block[:min(n, len(block))])
	}
}

// bomb is an archive of one file of zeros.
func bomb(w io.Writer, size int64) {
	write(w, header{name: "zeros", size: base256(12, size)}.block())
	zeros(w, int(size)+2*blockSize)
}

// manyEntries writes an archive of n empty files in directories of a thousand.
func manyEntries(n int) func(io.Writer) {
	return func(w io.Writer) {
		var name []byte
		for i := range n {
			name = name[:0]
			if i > 0 {
				name = append(name, "d"...)
				name = append(name, byte('0'+i/1000/100%10), byte('0'+i/1000/10%10), byte('0'+i/1000%10), '/')
			}
			name = append(name, byte('0'+i/100%10), byte('0'+i/10%10), byte('0'+i%10))
			if i == 0 {
				name = []byte("0")
			}
			write(w, header{name: string(name)}.block())
		}
		write(w, make([]byte, 2*blockSize))
	}
}

func gzipped(b []byte) []byte {
	return fixture.LayerOf(fixture.Gzip, b).Blob
}

func zstded(b []byte) []byte {
	return fixture.LayerOf(fixture.Zstd, b).Blob
}

// blob is a layer of these bytes that claims to be the archive.
func blob(c fixture.Compression, archive, data []byte) func() []fixture.Layer {
	return func() []fixture.Layer {
		l := fixture.LayerOf(fixture.Plain, data)
		l.Descriptor.MediaType = fixture.LayerOf(c, nil).Descriptor.MediaType
		l.DiffID = fixture.LayerOf(fixture.Plain, archive).DiffID
		return []fixture.Layer{l}
	}
}

// gzipOf packs what is written, which may be large: it is hashed as it goes.
func gzipOf(fill func(io.Writer)) func() []fixture.Layer {
	return packed(fixture.Gzip, fill, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zstdOf(fill func(io.Writer)) func() []fixture.Layer {
	return packed(fixture.Zstd, fill, func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // only an option can be wrong
		}
		return z
	})
}

func packed(c fixture.Compression, fill func(io.Writer), pack func(io.Writer) io.WriteCloser) func() []fixture.Layer {
	return func() []fixture.Layer {
		var buf bytes.Buffer
		sum := digest.SHA256.Digester()
		z := pack(&buf)
		fill(io.MultiWriter(z, sum.Hash()))
		if err := z.Close(); err != nil {
			panic(err) // it goes to memory
		}
		all := blob(c, nil, buf.Bytes())()
		all[0].DiffID = sum.Digest()
		return all
	}
}

func twoMembers() func() []fixture.Layer {
	archive := stream(plain("a", strings.Repeat("x", 3000)), plain("b", "x"))
	return blob(fixture.Gzip, archive, append(gzipped(archive[:1000]), gzipped(archive[1000:])...))
}

func emptyMembers(n int) func() []fixture.Layer {
	return blob(fixture.Gzip, small, append(bytes.Repeat(gzipped(nil), n), gzipped(small)...))
}

// flipped has one byte changed, counted from the end.
func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[len(b)+at] ^= 0xff
	return b
}

func withByte(b []byte, at int, value byte) []byte {
	b = bytes.Clone(b)
	b[at] = value
	return b
}

func gzipHeader() []byte { return []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff") }

// fullHeader is a gzip stream with every optional part of the header, each n bytes long. Its checksum field is right.
func fullHeader(archive []byte, n int) []byte {
	b := []byte("\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\xff")
	b = append(binary.LittleEndian.AppendUint16(b, uint16(n)), bytes.Repeat([]byte{1}, n)...)
	b = append(append(b, bytes.Repeat([]byte("n"), n)...), 0)
	b = append(append(b, bytes.Repeat([]byte("c"), n)...), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(crc32.ChecksumIEEE(b)))
	return append(b, gzipped(archive)[10:]...)
}

// zstdWindow is the beginning of a zstd frame with a window of 2^(10+exponent) bytes, and a raw last block.
func zstdWindow(exponent byte) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3}
	size := uint32(len(small))
	b = append(b, byte(size<<3|1), byte(size>>5), byte(size>>13))
	return append(b, small...)
}

// zstdDictionary is a zstd frame with a one-byte dictionary id, and a raw last block.
func zstdDictionary() []byte {
	size := uint32(len(small))
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, byte(size<<3 | 1), byte(size >> 5), byte(size >> 13)}
	return append(b, small...)
}

// skippable is a frame that a zstd decoder passes over.
func skippable(n int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(n))
	return append(b, make([]byte, n)...)
}
