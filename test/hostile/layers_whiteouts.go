package hostile

import "github.com/coracle-run/coracle/test/fixture"

// Attacks by whiteouts, and what overlayfs is told.
func whiteouts() []Layer {
	return []Layer{
		{
			Case:   Case{"whiteout-file", "a whiteout hides a file of the layer below", "image-spec, layer.md", Accept},
			Layers: stack(below, entries(whiteout("", "f"), whiteout("d", "low"))), Tree: Tree{"f": "absent", "d/low": "absent", "d/sub/low": "file 0644 low", ".wh.f": "absent"},
		},
		{
			Case:   Case{"whiteout-nothing", "an entry called .wh.", "containerd, moby: an empty whiteout removes the directory", Reject},
			Layers: stack(below, entries(file("d/.wh.", ""))), Says: "whiteout",
		},
		{
			Case:   Case{"whiteout-dot", "an entry called .wh..: it would remove its own directory", "CVE-2014-9357 class", Reject},
			Layers: stack(below, entries(file("d/.wh..", ""))), Says: "whiteout",
		},
		{
			Case:   Case{"whiteout-dotdot", "an entry called .wh...: it would remove the directory above", "CVE-2014-9357 class", Reject},
			Layers: stack(below, entries(file(".wh...", ""))), Says: "whiteout",
		},
		{
			Case:   Case{"whiteout-three-dots", "an entry called .wh.... hides the file ...", "own", Accept},
			Layers: stack(entries(file("...", "low")), entries(file(".wh....", ""))), Tree: Tree{"...": "absent"},
		},
		{
			Case:   Case{"whiteout-of-whiteout", "an entry called .wh..wh.f: names of that beginning are AUFS's own, and nothing is hidden", "image-spec, layer.md", Normalise},
			Layers: stack(below, entries(file(".wh..wh.f", ""))), Tree: Tree{"f": "file 0644 low", ".wh.f": "absent", ".wh..wh.f": "absent"},
		},
		{
			Case:   Case{"whiteout-aufs", "AUFS's own directories .wh..wh.plnk and .wh..wh.aufs", "docker's old layers", Normalise},
			Layers: entries(file(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), file("f", "x")), Tree: Tree{".wh..wh.plnk": "absent", ".wh..wh.aufs": "absent", "f": "file 0644 x"},
		},
		{
			Case:   Case{"whiteout-as-dir", "a directory called .wh.d with files in it", "own", Reject},
			Layers: stack(below, entries(file(".wh.d/f", "x"))), Says: "whiteout",
		},
		{
			Case:   Case{"whiteout-typed", "whiteouts that are directories, links and FIFOs count by their name", "image-spec, layer.md: \"an empty file\"", Normalise},
			Layers: stack(below, entries(dir(".wh.d"), symlink(".wh.f", "/etc"), fifo("etc/.wh.passwd"))), Tree: Tree{"d": "absent", "f": "absent", "etc/passwd": "absent"},
		},
		{
			Case:   Case{"whiteout-with-body", "a whiteout with a content", "own", Normalise},
			Layers: stack(below, entries(file(".wh.f", "content"), file("g", "x"))), Tree: Tree{"f": "absent", "g": "file 0644 x"},
		},
		{
			Case:   Case{"whiteout-through-link", "a link out, then a whiteout of a file behind it", "CVE-2018-15664 class", Contain},
			Layers: entries(symlink("l", "../../../../outside"), file("l/.wh.victim", ""), file("l/.wh..wh..opq", "")), Tree: Tree{"outside/victim": "absent", "outside": "dir 0755"},
		},
		{
			Case:   Case{"whiteout-of-link-out", "a whiteout of a link out removes the link and not what it leads to", "CVE-2014-9357", Contain},
			Layers: stack(below, entries(whiteout("", "out"), file("out/victim", "x"))), Tree: Tree{"out": "dir 0755", "out/victim": "file 0644 x"},
		},
		{
			Case:   Case{"whiteout-own-layer", "a whiteout says nothing about its own layer, whatever the order", "image-spec, layer.md", Accept},
			Layers: stack(below, entries(whiteout("", "f"), file("f", "new"), file("d/new", "new"), whiteout("", "d"))), Tree: Tree{"f": "file 0644 new", "d/new": "file 0644 new", "d/low": "absent"},
		},
		{
			Case:   Case{"whiteout-root", "an opaque marker in the root hides all of the layers below", "image-spec, layer.md", Accept},
			Layers: stack(below, entries(opaque(""), file("only", "x"))), Tree: Tree{"only": "file 0644 x", "f": "absent", "d": "absent", "usr": "absent"},
		},
		{
			Case:   Case{"opaque-last", "an opaque marker after the entries of its directory", "image-spec, layer.md: the order does not count", Accept},
			Layers: stack(below, entries(dir("d"), file("d/new", "x"), opaque("d"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent", "d/sub": "absent"},
		},
		{
			Case:   Case{"opaque-first-twice", "an opaque marker before its directory, and once more", "image-spec, layer.md", Accept},
			Layers: stack(below, entries(opaque("d"), dir("d"), file("d/new", "x"), opaque("d"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent", "d": "dir 0755"},
		},
		{
			Case:   Case{"opaque-on-link", "an opaque marker in a directory that is a link inside the layer", "own", Contain},
			Layers: stack(below, entries(dir("usr/bin"), symlink("bin", "usr/bin"), opaque("bin"))), Tree: Tree{"bin": "link usr/bin", "usr/bin": "dir 0755", "usr/bin/tool": "absent"},
		},
		{
			Case:   Case{"opaque-on-file", "an opaque marker in what the layer has as a file: the last entry wins", "own", Normalise},
			Layers: stack(below, entries(file("d", "x"), opaque("d"))), Tree: Tree{"d": "dir 0755", "d/low": "absent"},
		},
		{
			Case:   Case{"opaque-survives-again", "a directory that was opaque and is named again stays opaque", "own", Accept},
			Layers: stack(below, entries(opaque("d"), mode(dir("d"), 0o711))), Tree: Tree{"d": "dir 0711", "d/low": "absent"},
		},
		{
			Case:   Case{"opaque-as-dir", "the opaque marker is a directory with entries", "own", Normalise},
			Layers: stack(below, entries(dir("d/.wh..wh..opq"), file("d/.wh..wh..opq/f", "x"))), Tree: Tree{"d": "dir 0755", "d/low": "absent", "d/f": "absent"},
		},
		{
			Case:   Case{"whiteout-then-dir", "a whiteout, then a directory of the name: what was below stays hidden", "own", Accept},
			Layers: stack(below, entries(whiteout("", "d"), dir("d"), file("d/new", "x"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent"},
		},
		{
			Case:   Case{"whiteout-then-implied-dir", "a whiteout, then a file in a directory of the name", "own", Accept},
			Layers: stack(below, entries(whiteout("", "d"), file("d/new", "x"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent"},
		},
		{
			Case:   Case{"whiteout-dir-file-dir", "a directory, whited out, a file, a directory again", "own", Accept},
			Layers: stack(below, entries(dir("d"), whiteout("", "d"), file("d", "x"), dir("d"), file("d/new", "x"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent"},
		},
		{
			Case:   Case{"whiteout-then-file-then-dir", "a whiteout, then a file of the name, then a directory", "own", Accept},
			Layers: stack(below, entries(whiteout("", "d"), file("d", "x"), dir("d"), file("d/new", "x"))), Tree: Tree{"d/new": "file 0644 x", "d/low": "absent"},
		},
		{
			Case:   Case{"whiteout-in-opaque", "whiteouts inside of a directory that is opaque, before and after it: the job must not see their names", "kaniko and AUFS write both", Accept},
			Layers: stack(below, entries(whiteout("d", "low"), whiteout("d", "none"), opaque("d"), file("d/new", "x"), whiteout("d", "sub"))),
			Tree:   Tree{"d/new": "file 0644 x", "d/low": "absent", "d/none": "absent", "d/sub": "absent"},
		},
		{
			Case:   Case{"whiteout-chain", "three layers: hidden, there again as another type, hidden again", "image-spec, layer.md", Accept},
			Layers: stack(below, entries(whiteout("", "d"), whiteout("", "f")), entries(file("d", "2"), dir("f"), file("f/x", "2")), entries(whiteout("f", "x"), file("d/y", "3"))),
			Tree:   Tree{"d": "dir 0755", "d/y": "file 0644 3", "d/low": "absent", "f": "dir 0755", "f/x": "absent"},
		},
		{
			Case:   Case{"forged-device-00", "a character device 0:0, which is overlayfs's whiteout, made by an entry", "overlayfs.rst, \"whiteouts\"", Normalise},
			Layers: stack(below, entries(fixture.Device("f", 0, 0))), Tree: Tree{"f": "file 0644 low"},
		},
		{
			Case:   Case{"forged-opaque-xattr", "user.overlay.opaque and trusted.overlay.opaque by PAX records", "CVE-2021-3493 class; overlayfs.rst", Normalise},
			Layers: stack(below, entries(dir("d").Xattr("user.overlay.opaque", "y").Xattr("trusted.overlay.opaque", "y"))), Tree: Tree{"d": "dir 0755", "d/low": "file 0644 low"},
		},
		{
			Case:   Case{"forged-opaque-xattr-root", "the same on the root directory", "CVE-2021-3493 class; overlayfs.rst", Normalise},
			Layers: stack(below, entries(dir(".").Xattr("user.overlay.opaque", "y"), file("g", "x"))), Tree: Tree{"f": "file 0644 low", "g": "file 0644 x"},
		},
		{
			Case:   Case{"forged-opaque-xattr-x", "user.overlay.opaque=x, which makes whiteouts of files with an attribute (Linux 6.7)", "overlayfs.rst, \"nesting\"", Normalise},
			Layers: stack(below, entries(dir("d").Xattr("user.overlay.opaque", "x"), file("d/low", "").Xattr("user.overlay.whiteout", "y"))), Tree: Tree{"d/low": "file 0644", "d/sub/low": "file 0644 low"},
		},
		{
			Case:   Case{"forged-redirect", "user.overlay.redirect=/etc on a directory would show another one's files", "overlayfs.rst, \"redirect_dir\"", Normalise},
			Layers: stack(below, entries(dir("e").Xattr("user.overlay.redirect", "/etc"))), Tree: Tree{"e": "dir 0755", "e/passwd": "absent"},
		},
		{
			Case:   Case{"forged-metacopy", "user.overlay.metacopy with a redirect would show another file's content", "overlayfs.rst, \"metacopy\"", Normalise},
			Layers: stack(below, entries(file("g", "").Xattr("user.overlay.metacopy", "").Xattr("user.overlay.redirect", "/etc/passwd"))), Tree: Tree{"g": "file 0644"},
		},
		{
			Case:   Case{"forged-nested", "user.overlay.overlay.opaque, the escaped form for an overlay in an overlay", "overlayfs.rst, \"nesting\"", Normalise},
			Layers: stack(below, entries(dir("d").Xattr("user.overlay.overlay.opaque", "y"))), Tree: Tree{"d": "dir 0755", "d/low": "file 0644 low"},
		},
		{
			Case:   Case{"forged-overlay-others", "user.overlay.{origin,impure,nlink,upper,uuid,protattr}", "overlayfs.rst", Normalise},
			Layers: entries(dir("d").Xattr("user.overlay.origin", "x").Xattr("user.overlay.impure", "y").Xattr("user.overlay.nlink", "L+9").Xattr("user.overlay.upper", "x").Xattr("user.overlay.protattr", "i")),
			Tree:   Tree{"d": "dir 0755"},
		},
		{
			Case:   Case{"forged-link-to-whiteout", "a link whose directory is a whited-out name", "own", Reject},
			Layers: entries(whiteout("", "f"), symlink("l", ".wh.f"), file("l/x", "x")), Says: "whiteout",
		},
	}
}

func fifo(name string) fixture.Entry { return fixture.Fifo(name, 0o644) }
