package hostile

import (
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by the names of entries.
func names() []Layer {
	return []Layer{
		{
			Case:   Case{"name-dotdot", "a file ../../../outside/victim", "CVE-2001-1267, \"zip slip\"", Reject},
			Layers: entries(file("../../../outside/victim", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-absolute", "a file /../../outside/victim", "CVE-2007-4131 (GNU tar)", Reject},
			Layers: entries(file("/../../../../../../../outside/victim", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-inside", "a/../../../victim, whose first part exists", "CVE-2007-4131 (GNU tar)", Reject},
			Layers: entries(dir("a"), file("a/../../../victim", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-harmless", "a/../b never leaves, but no builder of images writes it", "CVE-2007-4131 (GNU tar)", Reject},
			Layers: entries(dir("a"), file("a/../b", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-dir", "a directory called .. with mode 0777", "CVE-2001-1267", Reject},
			Layers: entries(mode(dir(".."), 0o777)), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-trailing", "a file in a/.. with a slash at its end", "CVE-2019-20916 class", Reject},
			Layers: entries(dir("a"), dir("a/../..")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-pax", "a harmless name in the header, ../../outside/victim in the PAX record", "CVE-2018-20834 (node-tar)", Reject},
			Layers: pieces(pax("path", "../../../outside/victim"), plain("fine", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-prefix", "the ustar prefix is .. and the name outside/victim", "POSIX pax, ustar prefix", Reject},
			Layers: pieces(header{prefix: "../../..", name: "outside/victim", body: []byte("x")}.block()), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-gnu", "a GNU long name ../../outside/victim", "GNU tar manual, basic format", Reject},
			Layers: pieces(long('L', "../../../outside/victim"), plain("fine", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"name-dotdot-global", "a global PAX header sets path to ../../outside/victim for all entries", "POSIX pax, global header", Contain},
			Layers: pieces(global("path", "../../../outside/victim"), plain("fine", "x")), Tree: Tree{"fine": "file 0644 x"},
		},
		{
			Case:   Case{"name-dotdot-backslash", `..\..\victim is one name on Linux`, "CVE-2021-32804 class (node-tar)", Accept},
			Layers: entries(file(`..\..\victim`, "x")), Tree: Tree{`..\..\victim`: "file 0644 x"},
		},
		{
			Case:   Case{"name-dots", "files called ..., .... and ..a are ordinary", "own", Accept},
			Layers: entries(file("...", "x"), file("..a", "x"), file("a/....", "x")), Tree: Tree{"...": "file 0644 x", "..a": "file 0644 x", "a/....": "file 0644 x"},
		},
		{
			Case:   Case{"name-absolute", "files with absolute names, as docker save of old wrote", "image-spec, layer.md", Normalise},
			Layers: entries(file("/etc/passwd", "x"), file("//etc//shadow", "x")), Tree: Tree{"etc/passwd": "file 0644 x", "etc/shadow": "file 0644 x"},
		},
		{
			Case:   Case{"name-dot-slash", "./a, a/./b and a//c", "tar -c .", Normalise},
			Layers: entries(dir("."), dir("./a"), file("a/./b", "x"), file("a//c", "x")), Tree: Tree{"a/b": "file 0644 x", "a/c": "file 0644 x"},
		},
		{
			Case:   Case{"name-slash-file", "in V7's format, which has no type for directories, a name that ends with a slash is one", "POSIX pax, typeflag", Normalise},
			Layers: pieces(header{kind: v7, name: "d/", mode: "0000755", magic: "\x00\x00\x00\x00\x00\x00\x00\x00"}.block(), header{name: "f/", body: []byte("x")}.block()),
			Tree:   Tree{"d": "dir 0755", "f": "file 0644 x"},
		},
		{
			Case:   Case{"name-slash-link", "a symbolic link whose name ends with a slash, then a file through it", "CVE-2026-39822 (os.Root)", Contain},
			Layers: pieces(header{kind: '2', name: "l/", link: "../../outside"}.block(), plain("l/victim", "x")), Tree: Tree{"l": "link ../../outside", "outside/victim": "file 0644 x"},
		},
		{
			Case:   Case{"name-empty", "an entry without a name", "own", Reject},
			Layers: pieces(plain("", "x")), Says: "root",
		},
		{
			Case:   Case{"name-255", "a component of 255 bytes, the most there is", "path_resolution(7)", Accept},
			Layers: entries(file(strings.Repeat("n", 255), "x")), Tree: Tree{strings.Repeat("n", 255): "file 0644 x"},
		},
		{
			Case:   Case{"name-256", "a component of 256 bytes", "path_resolution(7)", Reject},
			Layers: entries(file(strings.Repeat("n", 256), "x")), Says: "256 bytes",
		},
		{
			Case:   Case{"name-path-4096", "a path of 4096 bytes", "path_resolution(7)", Reject},
			Layers: entries(file(strings.Repeat("n/", 2047)+"ff", "x")), Says: "4096 bytes",
		},
		{
			Case:   Case{"name-path-1m", "a path of a mebibyte in a PAX record", "own", Reject},
			Layers: pieces(pax("path", strings.Repeat("n/", 1<<19)), plain("fine", "x")), Says: "malformed",
		},
		{
			Case:   Case{"name-depth-500", "500 directories, one in the other", "own", Accept},
			Layers: entries(file(strings.Repeat("d/", 500)+"f", "x")), Tree: Tree{strings.Repeat("d/", 500) + "f": "file 0644 x"},
		},
		{
			Case:   Case{"name-depth-10k", "10,000 directories, one in the other, by links that save the long names", "own", Reject},
			Layers: entries(staircase(25)...), Says: "deep",
		},
		{
			Case:   Case{"name-nul", "a PAX path with a zero byte: victim\\0.txt", "CVE-2019-9740 class", Reject},
			Layers: pieces(pax("path", "victim\x00.txt"), plain("fine", "x")), Says: "malformed",
		},
		{
			Case:   Case{"name-controls", "names with newline, ESC, CR, BEL and a one-byte CSI", "CVE-2003-0063 class (terminals)", Accept},
			Layers: entries(file("a\nb", "x"), file("\x1b]0;owned\x07", "x"), file("c\rd", "x"), file("e\x9bm", "x")),
			Tree:   Tree{"a\nb": "file 0644 x", "\x1b]0;owned\x07": "file 0644 x", "c\rd": "file 0644 x", "e\x9bm": "file 0644 x"},
		},
		{
			Case:   Case{"name-controls-told", "the same in the name of an entry that is refused, and so printed", "CVE-2003-0063 class (terminals)", Reject},
			Layers: entries(file("../\x1b]0;owned\x07\r\n\u202e", "x")), Says: `\x1b]0;owned\a\r\n\u202e`,
		},
		{
			Case:   Case{"name-not-utf8", "a name that is not UTF-8", "archives of the nineties", Accept},
			Layers: pieces(plain("caf\xe9", "x")), Tree: Tree{"caf\xe9": "file 0644 x"},
		},
		{
			Case:   Case{"name-unicode-twins", "caf\u00e9 composed and decomposed are two files on Linux", "CVE-2021-37701 (node-tar)", Accept},
			Layers: entries(symlink("caf\u00e9", "../../outside"), dir("cafe\u0301"), file("cafe\u0301/victim", "x")),
			Tree:   Tree{"caf\u00e9": "link ../../outside", "cafe\u0301": "dir 0755", "cafe\u0301/victim": "file 0644 x", "outside": "absent"},
		},
		{
			Case:   Case{"name-case-twins", "Link and link, File and FILE are two on Linux", "CVE-2014-9390 (git)", Accept},
			Layers: entries(symlink("Link", "../../outside"), dir("link"), file("link/victim", "x"), file("\u017fs", "x"), file("ss", "y")),
			Tree:   Tree{"Link": "link ../../outside", "link/victim": "file 0644 x", "\u017fs": "file 0644 x", "ss": "file 0644 y"},
		},
		{
			Case:   Case{"name-spaces", "names of spaces, with dots and spaces at the end, and CON, NUL, C:", "CVE-2021-32803 class", Accept},
			Layers: entries(file(" ", "x"), file("a. ", "x"), file("C:", "x"), file("NUL", "x"), file("-rf", "x"), file("*", "x")),
			Tree:   Tree{" ": "file 0644 x", "a. ": "file 0644 x", "C:": "file 0644 x", "NUL": "file 0644 x", "-rf": "file 0644 x", "*": "file 0644 x"},
		},
		{
			Case:   Case{"name-missing-parents", "a file whose directories are not in the archive", "image-spec, layer.md", Normalise},
			Layers: entries(file("a/b/c", "x")), Tree: Tree{"a": "dir 0755", "a/b": "dir 0755", "a/b/c": "file 0644 x"},
		},
		{
			Case:   Case{"name-overlay-options", "names with commas, colons and backslashes, which mean something to mount(8)", "overlayfs.rst, \"escaping\"", Accept},
			Layers: entries(file("a,upperdir=/:b\\:c", "x")), Tree: Tree{"a,upperdir=/:b\\:c": "file 0644 x"},
		},
	}
}

// staircase is n times 400 directories, each flight made through a link to the one before, so that no name is long.
func staircase(n int) (all []fixture.Entry) {
	flight := strings.TrimSuffix(strings.Repeat("d/", 400), "/")
	for i := range n {
		all = append(all, symlink(strings.Repeat("s/", i)+"s", flight))
	}
	return append(all, file(strings.Repeat("s/", n)+"f", "x"))
}
