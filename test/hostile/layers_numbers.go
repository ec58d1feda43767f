package hostile

import (
	"fmt"
	"strings"
	"time"
)

// Attacks by numbers: sizes, sparse maps, owners, modes and times.
func numbers() []Layer {
	return []Layer{
		{
			Case:   Case{"size-negative-base256", "a size of -1 as base-256", "CVE-2016-6321 class; golang issue 12435", Reject},
			Layers: pieces(header{name: "f", size: base256(12, -1)}.block()), Says: "malformed",
		},
		{
			Case:   Case{"size-min-base256", "a size of -2^63 as base-256", "own", Reject},
			Layers: pieces(header{name: "f", size: base256(12, -1<<63)}.block()), Says: "malformed",
		},
		{
			Case:   Case{"size-overflow-base256", "a size of 2^88 as base-256", "own", Reject},
			Layers: pieces(header{name: "f", size: "\x80\x01" + strings.Repeat("\x00", 10)}.block()), Says: "malformed",
		},
		{
			Case:   Case{"size-octal-8", "a size with the digit 8", "POSIX pax, ustar format", Reject},
			Layers: pieces(header{name: "f", size: "00000000008"}.block()), Says: "malformed",
		},
		{
			Case:   Case{"size-octal-minus", "a size of \"-1\" in octal text", "golang issue 12435", Reject},
			Layers: pieces(header{name: "f", size: "-0000000001"}.block()), Says: "malformed",
		},
		{
			Case:   Case{"size-octal-12", "a size of twelve digits without an end, as some old tars write", "star(5)", Accept},
			Layers: pieces(header{name: "f", size: "000000000001", body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"size-on-dir", "a directory with a size and a body: the body belongs to it", "POSIX pax: reserved; GNU dumpdir", Contain},
			Layers: pieces(header{kind: '5', name: "d", mode: "0000755", size: "00000000000"}.block(), plain("after", "x")), Tree: Tree{"d": "dir 0755", "after": "file 0644 x"},
		},
		{
			Case:   Case{"size-on-dir-body", "a directory whose size is 512 and whose body looks like a header", "CVE-2025-62518 class", Contain},
			Layers: pieces(header{kind: '5', name: "d", mode: "0000755", body: plain("smuggled", "")[:blockSize]}.block(), plain("after", "x")), Tree: Tree{"d": "dir 0755", "after": "file 0644 x"},
		},
		{
			Case:   Case{"size-on-fifo", "a FIFO with a size of 2^40 and no body", "own", Contain},
			Layers: pieces(header{kind: '6', name: "p", size: "20000000000000"[:11]}.block(), plain("after", "x")), Tree: Tree{"p": "fifo 0644"},
		},
		{
			Case:   Case{"size-lie", "a file that says it has 100 GiB, and the archive ends", "own", Reject},
			Layers: pieces(header{name: "f", size: base256(12, 100<<30)}.block()), Says: "malformed",
		},
		{
			Case:   Case{"sparse-bomb-pax", "a sparse file of 2^62 bytes in two blocks (GNU 1.0)", "GNU tar manual, sparse formats", Reject},
			Layers: pieces(sparse1("bomb", 1<<62, "0\n")), Says: "exceeds",
		},
		{
			Case:   Case{"sparse-bomb-01", "the same in the format 0.1, whose map is a PAX record", "GNU tar manual, sparse formats", Reject},
			Layers: pieces(pax("GNU.sparse.size", "4611686018427387904", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "4611686018427387904,0"), plain("bomb", "")), Says: "exceeds",
		},
		{
			Case:   Case{"sparse-bomb-gnu", "the same in GNU's old format", "GNU tar manual, sparse formats", Reject},
			Layers: pieces(header{kind: 'S', name: "bomb", magic: gnu, tail: sparseTail(1<<62, 0, 0)}.block()), Says: "exceeds",
		},
		{
			Case:   Case{"sparse-4g", "a sparse file of 4 GiB with one byte: its hole stays one, and takes no room on the disk", "GNU tar manual, sparse formats", Accept},
			Layers: pieces(sparse1("s", 4<<30, "1\n0\n1\n", 'x')), Tree: Tree{"s": "file 0644 of 4294967296 bytes"}, Room: 1 << 20,
		},
		{
			Case:   Case{"sparse-old", "a sparse file in GNU's old format, which umoci refuses", "GNU tar manual, sparse formats", Accept},
			Layers: pieces(header{kind: 'S', name: "s", magic: gnu, size: "00000000005", tail: sparseTail(70_000, 4096, 5), body: []byte("hello")}.block()), Tree: Tree{"s": "file 0644 of 70000 bytes"},
		},
		{
			Case:   Case{"sparse-overlap", "a sparse map whose parts overlap", "golang issue; CVE-2018-20482 class", Reject},
			Layers: pieces(sparse1("s", 4096, "2\n0\n1024\n512\n1024\n", make([]byte, 2048)...)), Says: "malformed",
		},
		{
			Case:   Case{"sparse-backwards", "a sparse map whose parts go backwards", "golang issue", Reject},
			Layers: pieces(sparse1("s", 4096, "2\n1024\n512\n0\n512\n", make([]byte, 1024)...)), Says: "malformed",
		},
		{
			Case:   Case{"sparse-beyond", "a sparse map beyond the file's size", "golang issue", Reject},
			Layers: pieces(sparse1("s", 1024, "1\n1000\n512\n", make([]byte, 512)...)), Says: "malformed",
		},
		{
			Case:   Case{"sparse-map-huge", "a sparse map that says it has 2^60 parts", "CVE-2018-20482 class", Reject},
			Layers: pieces(sparse1("s", 1024, "1152921504606846976\n")), Says: "malformed",
		},
		{
			Case:   Case{"sparse-map-long", "a sparse map of 8 MiB in one number", "CVE-2025-58183 (Go)", Reject},
			Layers: pieces(sparse1("s", 1024, strings.Repeat("0", 8<<20)+"\n")), Says: "sparse map too long",
		},
		{
			Case:   Case{"sparse-map-many", "a sparse map of 1,000,000 parts without a byte", "CVE-2025-58183 (Go)", Reject},
			Layers: pieces(sparse1("s", 1<<40, manyParts(1_000_000))), Says: "sparse map too long",
		},
		{
			Case:   Case{"sparse-name", "GNU.sparse.name is the name, and is ../../victim", "GNU tar manual, sparse formats", Reject},
			Layers: pieces(sparse1("../../../outside/victim", 512, "1\n0\n1\n", 'x')), Says: "leaves its layer",
		},
		{
			Case:   Case{"sparse-version", "a sparse format of version 2.0", "GNU tar manual, sparse formats", Normalise},
			Layers: pieces(pax("GNU.sparse.major", "2", "GNU.sparse.minor", "0", "GNU.sparse.name", "s", "GNU.sparse.realsize", "9"), plain("f", "x")), Tree: Tree{"f": "file 0644 x", "s": "absent"},
		},
		{
			Case:   Case{"owner-2-31", "owners 2^31 and 2^32-1: (uid_t)-1 means \"nobody\" to chown", "chown(2)", Normalise},
			Layers: entries(file("a", "x").Own(1<<31, 1<<31), file("b", "x").Own(1<<32-1, 1<<32-1)), Tree: Tree{"a": "file 0644 x", "b": "file 0644 x"},
		},
		{
			Case:   Case{"owner-2-32", "an owner of 2^32: cut to 32 bits it is root", "CVE-2018-1000808 class", Normalise},
			Layers: pieces(pax("uid", "4294967296", "gid", "18446744073709551615"[:10]), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"owner-negative", "an owner of -1 as base-256", "own", Normalise},
			Layers: pieces(header{name: "f", uid: base256(8, -1), gid: base256(8, -2), body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"owner-huge", "an owner of 2^63 in the PAX record", "own", Reject},
			Layers: pieces(pax("uid", "9223372036854775808"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"owner-name", "an owner called root by name, 12345 by number", "GNU tar looks names up", Normalise},
			Layers: pieces(pax("uname", "root", "gname", "root"), header{name: "f", uid: "0030071", body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"mode-suid", "set-user-id and set-group-id files: unpacked by me they would be set-user-id me", "facts: 4755", Normalise},
			Layers: entries(mode(file("a", "x"), 0o4755), mode(file("b", "x"), 0o2755), mode(file("c", "x"), 0o6777), mode(dir("d"), 0o2775)),
			Tree:   Tree{"a": "file 0755 x", "b": "file 0755 x", "c": "file 0777 x", "d": "dir 0775"},
		},
		{
			Case:   Case{"mode-suid-duplicate", "a set-user-id bit by a second entry of the name", "own", Normalise},
			Layers: entries(file("a", "x"), mode(file("a", "y"), 0o4755), dir("d"), mode(dir("d"), 0o6755)), Tree: Tree{"a": "file 0755 y", "d": "dir 0755"},
		},
		{
			Case:   Case{"mode-none", "files and directories of mode 0, with something inside", "umoci rootless; tar as a user fails here", Normalise},
			Layers: entries(mode(dir("d"), 0), mode(file("d/f", "x"), 0), mode(fifo("d/p"), 0)), Tree: Tree{"d": "dir 0700", "d/f": "file 0400 x"},
		},
		{
			Case:   Case{"mode-root-none", "the root directory of mode 0", "own", Normalise},
			Layers: entries(mode(dir("."), 0), file("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"mode-sticky", "a sticky /tmp stays so, a sticky file does not", "chmod(2)", Normalise},
			Layers: entries(mode(dir("tmp"), 0o1777), mode(file("f", "x"), 0o1644)), Tree: Tree{"tmp": "dir 1777", "f": "file 0644 x"},
		},
		{
			Case:   Case{"mode-type-bits", "a mode with the bits of a block device", "BSD tar writes file types there", Normalise},
			Layers: pieces(header{name: "f", mode: "060644\x00", body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"mode-huge", "a mode of 2^60", "own", Normalise},
			Layers: pieces(header{name: "f", mode: base256(8, 1<<60|0o644), body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"mode-negative", "a mode of -1: every bit is set", "own", Normalise},
			Layers: pieces(header{name: "f", mode: base256(8, -1), body: []byte("x")}.block()), Tree: Tree{"f": "file 0777 x"},
		},
		{
			Case:   Case{"time-minus-1", "times before 1970", "POSIX pax, mtime", Accept},
			Layers: entries(file("f", "x").At(time.Unix(-1, 0)), dir("d").At(time.Unix(-1<<33, 0)), symlink("l", "f").At(time.Unix(-2, 5))), Tree: Tree{"f": "file 0644 x", "d": "dir 0755"},
		},
		{
			Case:   Case{"time-2-63", "a time of 2^63-1 seconds", "CVE-2020-1752 class; utimensat(2)", Normalise},
			Layers: pieces(pax("mtime", "9223372036854775807.999999999"), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"time-base256", "a time of -2^63 as base-256, on a file, a directory and a link", "own", Normalise},
			Layers: pieces(header{name: "f", mtime: base256(12, -1<<63), body: []byte("x")}.block(), header{kind: '5', name: "d", mode: "0000755", mtime: base256(12, 1<<62)}.block(), header{kind: '2', name: "l", link: "f", mtime: base256(12, -1<<62)}.block()),
			Tree:   Tree{"f": "file 0644 x", "d": "dir 0755", "l": "link f"},
		},
		{
			Case:   Case{"time-omit", "nanoseconds that are UTIME_OMIT and UTIME_NOW to utimensat", "utimensat(2)", Reject},
			Layers: pieces(pax("mtime", "1.1073741822x"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"time-digits", "a time with a million digits after the point", "CVE-2022-2879 class", Reject},
			Layers: pieces(pax("mtime", "1."+strings.Repeat("9", 1<<20)), plain("f", "x")), Says: "malformed",
		},
	}
}

// sparse1 is a sparse file in GNU's format 1.0: the map stands before the content.
func sparse1(name string, size int64, parts string, content ...byte) []byte {
	body := append(padded([]byte(parts)), content...)
	return append(pax("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", name, "GNU.sparse.realsize", fmt.Sprint(size)),
		header{name: "GNUSparseFile.0/x", body: body}.block()...)
}

// manyParts is a sparse map of n parts of no bytes.
func manyParts(n int) string {
	var text strings.Builder
	fmt.Fprintln(&text, n)
	for i := range n {
		fmt.Fprintf(&text, "%d\n0\n", i)
	}
	return text.String()
}

// sparseTail is the end of a header in GNU's old sparse format with one part.
func sparseTail(size, offset, length int64) []byte {
	tail := make([]byte, 167)
	copy(tail[386-345:], base256(12, offset))
	copy(tail[398-345:], base256(12, length))
	copy(tail[483-345:], base256(12, size))
	return tail
}
