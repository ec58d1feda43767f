package hostile

import (
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by symbolic and hard links. The unpacked tree is BOX/store/tmp/NAME/fs while it is made: ../../../outside leads
// to the canary from there, and so do absolute links with the canary's path, had they not been made in another place.
func links() []Layer {
	return []Layer{
		{
			Case:   Case{"link-file-through", "a link out of the layer, then a file through it", "CVE-2014-6408, CVE-2014-9356 (docker)", Contain},
			Layers: entries(symlink("l", "../../../../outside"), file("l/victim", "x")), Tree: Tree{"l": "link ../../../../outside", "outside/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-file-through-absolute", "a link to /tmp, then a file through it", "CVE-2014-9357 (docker)", Contain},
			Layers: entries(symlink("l", "/tmp"), file("l/victim", "x")), Tree: Tree{"l": "link /tmp", "tmp/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-two-hops", "a link to a link out", "CVE-2018-15664 (docker cp)", Contain},
			Layers: entries(symlink("k", "../../../../outside"), symlink("l", "k"), file("l/dir/victim", "x")), Tree: Tree{"outside/dir/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-chain-up", "a -> .., b -> a/.., c -> b/..: each harmless by its text alone", "CVE-2025-4517 (tarfile)", Contain},
			Layers: entries(symlink("a", ".."), symlink("b", "a/.."), symlink("c", "b/../outside"), file("c/victim", "x")), Tree: Tree{"outside/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-file-replaced", "a link out, then a file of its name: the link is replaced, not followed", "CVE-2024-32002 class", Contain},
			Layers: entries(symlink("l", "../../../../outside/victim"), file("l", "x")), Tree: Tree{"l": "file 0644 x", "outside": "absent"},
		},
		{
			Case:   Case{"link-dir-replaced", "a link out, then a directory of its name with mode 0777: chmod follows links", "CVE-2025-4330, CVE-2024-12718 (tarfile)", Contain},
			Layers: entries(symlink("l", "../../../../outside"), mode(dir("l"), 0o777)), Tree: Tree{"l": "dir 0777", "outside": "absent"},
		},
		{
			Case:   Case{"link-dir-slash-dot", "a link out, then directories l/. and l/dir/. through it", "CVE-2026-17106 (go-archive)", Contain},
			Layers: entries(symlink("l", "../../../../outside"), mode(dir("l/."), 0o777), mode(dir("l/dir/."), 0o777)), Tree: Tree{"l": "dir 0777", "l/dir": "dir 0777"},
		},
		{
			Case:   Case{"link-root", "the root is replaced by a link: ./ -> /etc, then passwd", "CVE-2026-17106 (go-archive)", Reject},
			Layers: entries(symlink("./", "/etc"), file("passwd", "x")), Says: "root directory",
		},
		{
			Case:   Case{"link-root-dot", "the root is replaced by a link called /.", "CVE-2026-39822 (os.Root)", Reject},
			Layers: entries(symlink("/.", "../../../../outside"), file("victim", "x")), Says: "root directory",
		},
		{
			Case:   Case{"link-root-file", "the root is replaced by a file", "own", Reject},
			Layers: entries(file(".", "x")), Says: "root directory",
		},
		{
			Case:   Case{"link-proc-cwd", "a link to /proc/self/cwd, then a file through it", "CVE-2024-21626 (runc) class", Contain},
			Layers: entries(symlink("l", "/proc/self/cwd"), file("l/victim", "x")), Tree: Tree{"proc/self/cwd/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-proc-fd", "links to /proc/self/fd/3 to 9, then files through them", "CVE-2019-5736, CVE-2024-21626 (runc) class", Contain},
			Layers: entries(symlink("a", "/proc/self/fd/3"), file("a/victim", "x"), symlink("b", "/proc/self/fd/7"), file("b/victim", "x"), symlink("c", "/proc/self/root"), file("c/etc/victim", "x")),
			Tree:   Tree{"proc/self/fd/3/victim": "file 0644 x", "proc/self/fd/7/victim": "file 0644 x", "proc/self/root/etc/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-circle", "a -> b, b -> a, then a file through it", "own", Reject},
			Layers: entries(symlink("a", "b"), symlink("b", "a"), file("a/f", "x")), Says: "too many symbolic links",
		},
		{
			Case:   Case{"link-bomb", "41 links to the one before: 2^41 steps if each is resolved anew", "\"billion laughs\"", Reject},
			Layers: entries(linkBomb()...), Says: "too many symbolic links",
		},
		{
			Case:   Case{"link-to-itself", "a link l -> l/l/l, then l/f", "own", Reject},
			Layers: entries(symlink("l", "l/l/l"), file("l/f", "x")), Says: "too many symbolic links",
		},
		{
			Case:   Case{"link-up-at-root", "a -> ../../../.. stops at the root", "chroot(2)", Contain},
			Layers: entries(symlink("a", "../../../../../.."), file("a/b/f", "x")), Tree: Tree{"b/f": "file 0644 x"},
		},
		{
			Case:   Case{"link-empty", "a symbolic link to nothing", "symlink(2)", Reject},
			Layers: pieces(header{kind: '2', name: "l"}.block()), Says: "symbolic link",
		},
		{
			Case:   Case{"link-long", "a symbolic link of 4095 bytes, the most there is", "symlink(2)", Accept},
			Layers: entries(symlink("l", longTarget)), Tree: Tree{"l": "link " + longTarget},
		},
		{
			Case:   Case{"link-too-long", "a symbolic link of 4096 bytes", "symlink(2)", Reject},
			Layers: entries(symlink("l", longTarget+"x")), Says: "symbolic link",
		},
		{
			Case:   Case{"link-controls", "a link to a text with ESC and newline", "CVE-2003-0063 class (terminals)", Accept},
			Layers: entries(symlink("l", "\x1b[2J\n")), Tree: Tree{"l": "link \x1b[2J\n"},
		},
		{
			Case:   Case{"link-body", "a symbolic link with a size and a body: the body is skipped or it is refused, never parsed as headers", "CVE-2019-14271 class; POSIX pax", Contain},
			Layers: pieces(header{kind: '2', name: "l", link: "f", size: "00000000000"}.block(), plain("f", "x")), Tree: Tree{"l": "link f", "f": "file 0644 x"},
		},
		{
			Case:   Case{"link-usrmerge", "bin -> usr/bin, then files in bin/: every Debian image", "Debian usrmerge", Accept},
			Layers: entries(dir("usr/bin"), symlink("bin", "usr/bin"), file("bin/ls", "x")), Tree: Tree{"bin": "link usr/bin", "usr/bin/ls": "file 0644 x"},
		},
		{
			Case:   Case{"link-usrmerge-lower", "the link is in the layer below: an upper bin/ hides it, as it does for docker", "image-spec, layer.md; overlayfs", Accept},
			Layers: stack(below, entries(file("bin/new", "x"))), Tree: Tree{"bin": "dir 0755", "bin/new": "file 0644 x", "usr/bin/tool": "file 0644 low"},
		},
		{
			Case:   Case{"link-out-lower", "a link out in the layer below, a file through it in the upper one", "CVE-2014-9356 (docker)", Contain},
			Layers: stack(below, entries(file("out/victim", "x"))), Tree: Tree{"out": "dir 0755", "out/victim": "file 0644 x"},
		},
		{
			Case:   Case{"link-special-places", "/dev, /proc, /sys and /etc are links out", "CVE-2025-31133 (runc) class", Accept},
			Layers: entries(symlink("dev", "/tmp"), symlink("proc", "../../../../outside"), symlink("sys", "/"), symlink("etc", "/proc/self/root/etc"), file("dev/victim", "x")),
			Tree:   Tree{"dev": "link /tmp", "proc": "link ../../../../outside", "tmp/victim": "file 0644 x"},
		},
		{
			Case:   Case{"hardlink-dotdot", "a hard link to ../../../outside/victim", "CVE-2024-45310 class; CVE-2021-21300 class", Reject},
			Layers: entries(hardlink("l", "../../../../outside/victim")), Says: "leaves its layer",
		},
		{
			Case:   Case{"hardlink-then-write", "a hard link out, then a file of its name that would be written through it", "CVE-2016-6321 (GNU tar) class", Reject},
			Layers: entries(hardlink("l", "../../../../outside/victim"), file("l", "x")), Says: "leaves its layer",
		},
		{
			Case:   Case{"hardlink-absolute", "a hard link to /usr/bin/tool, which is in the layer", "docker and buildah write such", Accept},
			Layers: entries(dir("usr/bin"), file("usr/bin/tool", "x"), hardlink("l", "/usr/bin/tool")), Tree: Tree{"l": "file 0644 x (2 names)", "usr/bin/tool": "file 0644 x (2 names)"},
		},
		{
			Case:   Case{"hardlink-host", "a hard link to /etc/passwd, which is not in the layer", "CVE-2014-9356 class", Reject},
			Layers: entries(hardlink("l", "/etc/passwd")), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-through-link", "a link out, then a hard link to a file behind it", "CVE-2025-4138 (tarfile)", Reject},
			Layers: entries(symlink("s", "../../../../outside"), hardlink("l", "s/victim")), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-to-symlink", "a hard link to a link out, then a file of that name", "CVE-2025-4330 (tarfile)", Contain},
			Layers: entries(symlink("s", "../../../../outside/victim"), hardlink("l", "s"), file("l", "x")), Tree: Tree{"s": "link ../../../../outside/victim", "l": "file 0644 x"},
		},
		{
			Case:   Case{"hardlink-to-symlink-dir", "a hard link to a link out, then a file through it", "CVE-2025-4330 (tarfile)", Contain},
			Layers: entries(symlink("s", "../../../../outside"), hardlink("l", "s"), file("l/victim", "x")), Tree: Tree{"l": "link ../../../../outside", "outside/victim": "file 0644 x"},
		},
		{
			Case:   Case{"hardlink-to-dir", "a hard link to a directory", "link(2)", Reject},
			Layers: entries(dir("d"), hardlink("l", "d")), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-to-itself", "a hard link to itself: the old name must not be removed first", "own", Reject},
			Layers: entries(file("f", "x"), hardlink("f", "f")), Says: "itself",
		},
		{
			Case:   Case{"hardlink-to-itself-by-detour", "the same through a link: f -> d/../f is written d/f with d -> .", "own", Reject},
			Layers: entries(symlink("d", "."), file("f", "x"), hardlink("d/f", "f")), Says: "itself",
		},
		{
			Case:   Case{"hardlink-to-root", "a hard link to /", "link(2)", Reject},
			Layers: entries(hardlink("l", "/")), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-forward", "a hard link to a file that comes later", "own", Reject},
			Layers: entries(hardlink("l", "f"), file("f", "x")), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-lower", "a hard link to a file of the layer below", "image-spec, layer.md: a layer stands alone", Reject},
			Layers: stack(below, entries(hardlink("l", "f"))), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-to-whiteout", "a hard link to what the layer has hidden: a device 0:0 under another name", "own", Reject},
			Layers: stack(below, entries(whiteout("", "f"), hardlink("l", "f"))), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-to-whiteout-name", "a hard link to the name .wh.f itself", "own", Reject},
			Layers: stack(below, entries(whiteout("", "f"), hardlink("l", ".wh.f"))), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-dangling-later", "a hard link whose target is replaced afterwards keeps the first content", "own", Accept},
			Layers: entries(file("f", "1"), hardlink("l", "f"), file("f", "2")), Tree: Tree{"l": "file 0644 1", "f": "file 0644 2"},
		},
		{
			Case:   Case{"hardlink-body", "a hard link with a size and a body, as cpio and old pax write", "POSIX pax, linkdata", Contain},
			Layers: pieces(plain("f", "x"), header{kind: '1', name: "l", link: "f"}.block(), plain("g", "y")), Tree: Tree{"l": "file 0644 x (2 names)", "g": "file 0644 y"},
		},
		{
			Case:   Case{"hardlink-empty", "a hard link to nothing", "own", Reject},
			Layers: pieces(header{kind: '1', name: "l"}.block()), Says: "no file of this layer",
		},
		{
			Case:   Case{"hardlink-fifo", "a hard link to a FIFO must not open it", "own", Accept},
			Layers: entries(fifo("p"), hardlink("l", "p")), Tree: Tree{"l": "fifo 0644"},
		},
		{
			Case:   Case{"hardlink-suid-later", "a second name of a file, then an entry that would change the mode of both", "own", Accept},
			Layers: entries(file("f", "1"), hardlink("l", "f"), mode(file("l", "2"), 0o4755)), Tree: Tree{"f": "file 0644 1", "l": "file 0755 2"},
		},
	}
}

var longTarget = strings.Repeat("n/", 2047) + "n"

// linkBomb: each link leads twice through the one before.
func linkBomb() (all []fixture.Entry) {
	all = append(all, symlink("l0", "."))
	for i := range 41 {
		all = append(all, symlink(fmt.Sprintf("l%d", i+1), fmt.Sprintf("l%d/l%d", i, i)))
	}
	return append(all, file("l41/f", "x"))
}
