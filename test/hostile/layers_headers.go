package hostile

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by headers that say a thing twice, or that readers take for different things: what one program scans is then not
// what another unpacks.
func headers() []Layer {
	return []Layer{
		{
			Case:   Case{"header-pax-path-wins", "the name in the PAX record and that in the header differ", "POSIX pax", Accept},
			Layers: pieces(pax("path", "pax"), plain("ustar", "x")), Tree: Tree{"pax": "file 0644 x", "ustar": "absent"},
		},
		{
			Case:   Case{"header-pax-link-wins", "the link in the PAX record and that in the header differ", "POSIX pax", Accept},
			Layers: pieces(pax("linkpath", "pax"), header{kind: '2', name: "l", link: "ustar"}.block()), Tree: Tree{"l": "link pax"},
		},
		{
			Case:   Case{"header-pax-size-wins", "the size is in the PAX record, and 0 in the header: an archive inside of the file must not be read as entries", "CVE-2025-62518 (TARmageddon)", Contain},
			Layers: pieces(pax("size", "1536"), header{name: "inner.tar", size: "00000000000", body: inner}.block(), plain("after", "x")),
			Tree:   Tree{"inner.tar": "file 0644 of 1536 bytes", "smuggled": "absent", "after": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-size-smaller", "the size is 0 in the PAX record and 1536 in the header: what follows are entries", "CVE-2025-62518 (TARmageddon)", Accept},
			Layers: pieces(pax("size", "0"), header{name: "f", size: "00000003000"}.block(), plain("after", "x")), Tree: Tree{"f": "file 0644", "after": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-size-global", "a size in a global header would make every entry lie", "CVE-2025-62518 class", Contain},
			Layers: pieces(global("size", "1024"), plain("f", "x"), plain("after", "y")), Tree: Tree{"f": "file 0644 x", "after": "file 0644 y"},
		},
		{
			Case:   Case{"header-pax-size-negative", "size=-1 in the PAX record", "golang issue 12455 class", Reject},
			Layers: pieces(pax("size", "-1"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-size-text", "size=0x10 is no number", "POSIX pax", Reject},
			Layers: pieces(pax("size", "0x10"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-size-plus", "size=+1, which Go reads as 1, and so do docker and containerd", "POSIX pax: decimal digits", Accept},
			Layers: pieces(pax("size", "+1"), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-size-huge", "size=2^63 in the PAX record", "own", Reject},
			Layers: pieces(pax("size", "9223372036854775808"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-size-beyond", "a size of 2^62, and the archive ends", "own", Reject},
			Layers: pieces(pax("size", "4611686018427387904"), plain("f", "x")), Says: "exceeds",
		},
		{
			Case:   Case{"header-pax-length-wrong", "a record whose length is too small", "POSIX pax", Reject},
			Layers: pieces(extendedText("5 path=evil\n"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-length-huge", "a record whose length is beyond the header", "CVE-2018-20482 class", Reject},
			Layers: pieces(extendedText("999999999 path=evil\n"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-length-negative", "a record of length -1", "own", Reject},
			Layers: pieces(extendedText("-1 path=evil\n"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-length-zeros", "a record of length 0000000000000000000000013", "POSIX pax", Reject},
			Layers: pieces(extendedText("000000000000000000000000000035 path=z\n"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-no-newline", "a record that does not end with a newline", "POSIX pax", Reject},
			Layers: pieces(extendedText("9 path=zz"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-twice", "a key twice in one extended header: the last counts", "POSIX pax", Accept},
			Layers: pieces(pax("path", "first", "path", "last"), plain("f", "x")), Tree: Tree{"last": "file 0644 x", "first": "absent"},
		},
		{
			Case:   Case{"header-pax-two", "two extended headers before one entry", "libarchive and GNU tar differ; as docker, Go takes the last", Normalise},
			Layers: pieces(pax("path", "first"), pax("mtime", "1"), plain("f", "x")), Tree: Tree{"f": "file 0644 x", "first": "absent"},
		},
		{
			Case:   Case{"header-pax-empty-value", "path= with nothing takes the record back", "POSIX pax", Accept},
			Layers: pieces(pax("path", ""), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-last", "an extended header with no entry after it", "own", Normalise},
			Layers: pieces(plain("f", "x"), pax("path", "g")), Tree: Tree{"f": "file 0644 x", "g": "absent"},
		},
		{
			Case:   Case{"header-pax-1m", "an extended header of a mebibyte", "CVE-2022-2879 (Go)", Reject},
			Layers: pieces(pax("comment", strings.Repeat("x", 1<<20)), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-bomb", "2,000 extended headers of 64 KiB: 128 MiB that no entry needs", "CVE-2022-2879 (Go)", Accept},
			Layers: paxBomb(2_000, 64<<10), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-4g", "an extended header that says it has 4 GiB", "CVE-2022-2879 (Go)", Reject},
			Layers: pieces(header{kind: 'x', name: "x", size: "40000000000"}.block(), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-pax-type", "an extended header whose record sets the type of the entry", "libarchive's LIBARCHIVE.*", Normalise},
			Layers: pieces(pax("SCHILY.filetype", "link", "typeflag", "2"), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-hdrcharset", "hdrcharset=BINARY and names that are not UTF-8", "POSIX pax, hdrcharset", Accept},
			Layers: pieces(pax("hdrcharset", "BINARY", "path", "caf\xe9"), plain("f", "x")), Tree: Tree{"caf\xe9": "file 0644 x"},
		},
		{
			Case:   Case{"header-pax-hdrcharset-odd", "hdrcharset=UTF-7, by which ../ could be written +AC4ALgAv-", "POSIX pax, hdrcharset", Contain},
			Layers: pieces(pax("hdrcharset", "UTF-7", "path", "+AC4ALgAv-victim"), plain("f", "x")), Tree: Tree{"+AC4ALgAv-victim": "file 0644 x"},
		},
		{
			Case:   Case{"header-global-first", "a global header first, as git archive writes it", "git-archive(1)", Accept},
			Layers: pieces(global("comment", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"), plain("f", "x")), Tree: Tree{"f": "file 0644 x", "pax_global_header": "absent"},
		},
		{
			Case:   Case{"header-global-long", "a global header with a path called pax_global_header and attributes", "own", Normalise},
			Layers: pieces(global("SCHILY.xattr.security.capability", "x", "uid", "0"), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-gnu-long", "GNU's long name and long link", "GNU tar manual, basic format", Accept},
			Layers: pieces(long('L', strings.Repeat("n", 200)), long('K', strings.Repeat("t", 200)), header{kind: '2', magic: gnu}.block()), Tree: Tree{strings.Repeat("n", 200): "link " + strings.Repeat("t", 200)},
		},
		{
			Case:   Case{"header-gnu-long-and-pax", "a GNU long name and a PAX path before one entry", "CVE-2025-62518 class", Normalise},
			Layers: pieces(long('L', "gnu"), pax("path", "pax"), plain("f", "x")), Tree: Tree{"f": "absent"},
		},
		{
			Case:   Case{"header-gnu-long-1m", "a GNU long name of a mebibyte and more", "CVE-2022-2879 (Go)", Reject},
			Layers: pieces(long('L', strings.Repeat("n", 2<<20)), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"header-gnu-long-nul", "a GNU long name with a zero byte in its middle ends there", "GNU tar", Normalise},
			Layers: pieces(long('L', "short\x00/../../victim"), plain("f", "x")), Tree: Tree{"short": "file 0644 x"},
		},
		{
			Case:   Case{"header-prefix-gnu", "a GNU header has no prefix: its times stand there", "GNU tar manual, basic format", Accept},
			Layers: pieces(header{name: "f", magic: gnu, tail: []byte("00000000001\x0000000000001\x00"), body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-v7", "a header without a magic", "V7 tar", Accept},
			Layers: pieces(header{name: "f", magic: "\x00\x00\x00\x00\x00\x00\x00\x00", body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-checksum", "a checksum that is wrong", "POSIX pax, ustar format", Reject},
			Layers: pieces(header{name: "f", checksum: "000000\x00 ", body: []byte("x")}.block()), Says: "malformed",
		},
		{
			Case:   Case{"header-checksum-signed", "a checksum over signed bytes, as old Sun tar wrote", "GNU tar, \"checksum\"", Accept},
			Layers: pieces(signedChecksum("caf\xe9")), Tree: Tree{"caf\xe9": "file 0644"},
		},
		{
			Case:   Case{"header-garbage", "an archive of random text", "own", Reject},
			Layers: pieces([]byte(strings.Repeat("this is not a tar archive. ", 400))), Says: "malformed",
		},
		{
			Case:   Case{"header-one-zero-block", "one block of zeros between entries", "GNU tar warns, others end there", Reject},
			Layers: pieces(plain("f", "x"), make([]byte, blockSize), plain("g", "y")), Says: "malformed",
		},
		{
			Case:   Case{"header-after-end", "entries after the end of the archive are not seen, and their bytes count for the digest", "POSIX pax", Accept},
			Layers: pieces(plain("f", "x"), make([]byte, 2*blockSize), plain("g", "y")), Tree: Tree{"f": "file 0644 x", "g": "absent"},
		},
		{
			Case:   Case{"header-no-end", "no blocks of zeros at the end, as buildkit and others have written", "golang issue; image-spec", Accept},
			Layers: layerOf(plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"header-nothing", "a layer of no bytes at all", "docker's empty layers of old", Accept},
			Layers: layerOf(nil), Tree: Tree{".": "dir 0755"},
		},
		{
			Case:   Case{"header-only-zeros", "a layer of 10 KiB of zeros: an empty archive", "docker's empty layer (a3ed95ca...)", Accept},
			Layers: layerOf(make([]byte, 10240)), Tree: Tree{".": "dir 0755"},
		},
		{
			Case:   Case{"header-cut-in-header", "the archive ends in a header", "own", Reject},
			Layers: layerOf(append(plain("f", "x"), plain("g", "y")[:100]...)), Says: "malformed",
		},
		{
			Case:   Case{"header-cut-in-body", "the archive ends in a file", "own", Reject},
			Layers: layerOf(header{name: "f", body: make([]byte, 5000)}.block()[:3000]), Says: "malformed",
		},
	}
}

// inner is an archive of 1536 bytes: a file called smuggled.
var inner = append(plain("smuggled", "x"), make([]byte, blockSize)...)

// extendedText is an extended header with just this text.
func extendedText(text string) []byte {
	return header{kind: 'x', name: "x", body: []byte(text)}.block()
}

// layerOf is the one layer of an attack, of exactly these bytes.
func layerOf(archive []byte) func() []fixture.Layer {
	return func() []fixture.Layer { return []fixture.Layer{fixture.LayerOf(fixture.Gzip, archive)} }
}

// paxBomb is n extended headers, each with a comment, before one file.
func paxBomb(n, size int) func() []fixture.Layer {
	return func() []fixture.Layer {
		// Each is an entry of its own, for two extended headers in a row are an oddity themselves.
		one := append(pax("comment", strings.Repeat("x", size)), plain("f", "x")...)
		return []fixture.Layer{fixture.LayerOf(fixture.Gzip, stream(bytes.Repeat(one, n)))}
	}
}

// signedChecksum is an empty file whose checksum is over signed bytes.
func signedChecksum(name string) []byte {
	b := header{name: name}.block()
	sum := 8 * int(' ')
	for i, c := range b[:blockSize] {
		if i < 148 || i >= 156 {
			sum += int(int8(c))
		}
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return b
}
