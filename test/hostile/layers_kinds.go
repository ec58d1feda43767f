package hostile

import (
	"fmt"
	"slices"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by types of entries, and by duplicates that change them.
func kinds() []Layer {
	return []Layer{
		{
			Case:   Case{"kind-device", "character and block devices: the disk, memory, a terminal", "CVE-2019-14271 class; mknod(2)", Normalise},
			Layers: entries(device('4', "sda", 8, 0), device('3', "mem", 1, 1), device('3', "tty", 5, 0), device('3', "zero", 1, 5), file("f", "x")), Tree: Tree{"sda": "absent", "mem": "absent", "zero": "absent", "f": "file 0644 x"},
		},
		{
			Case:   Case{"kind-device-base256", "a device whose numbers are -1", "makedev(3)", Normalise},
			Layers: pieces(header{kind: '3', name: "dev", major: base256(8, -1), minor: base256(8, 1<<40)}.block(), plain("f", "x")), Tree: Tree{"dev": "absent", "f": "file 0644 x"},
		},
		{
			Case:   Case{"kind-device-over-file", "a device in place of a file of the same layer: neither the device nor a way to it", "own", Normalise},
			Layers: entries(file("a", "x"), device('3', "a", 1, 3), file("b", "y")), Tree: Tree{"b": "file 0644 y"},
		},
		{
			Case:   Case{"kind-fifo", "FIFOs, also as /etc/passwd: nobody may wait on them", "CVE-2024-21626 class", Accept},
			Layers: entries(fifo("p"), fifo("etc/passwd"), fifo("etc/group")), Tree: Tree{"p": "fifo 0644", "etc/passwd": "fifo 0644"},
		},
		{
			Case:   Case{"kind-fifo-over", "a FIFO, then a file of its name, which must not be written through it", "own", Contain},
			Layers: entries(fifo("p"), file("p", "x")), Tree: Tree{"p": "file 0644 x"},
		},
		{
			Case:   Case{"kind-socket", "a socket, type s, that no standard knows", "POSIX pax: vendor types", Reject},
			Layers: pieces(header{kind: 's', name: "s"}.block(), plain("f", "x")), Says: "type",
		},
		{
			Case:   Case{"kind-unknown", "an entry of type Z with a body", "POSIX pax: unknown types are files", Reject},
			Layers: pieces(header{kind: 'Z', name: "z", body: []byte("x")}.block()), Says: "type",
		},
		{
			Case:   Case{"kind-contiguous", "a contiguous file, type 7, is a file", "POSIX pax", Accept},
			Layers: pieces(header{kind: '7', name: "f", body: []byte("x")}.block()), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"kind-volume", "GNU's volume label and multi-volume parts", "GNU tar manual", Reject},
			Layers: pieces(header{kind: 'V', name: "label", magic: gnu}.block(), header{kind: 'M', name: "part", magic: gnu, body: []byte("x")}.block()), Says: "type",
		},
		{
			Case:   Case{"kind-dumpdir", "GNU's dump directory, type D, whose list of names deletes on extraction", "GNU tar manual, incremental dumps", Reject},
			Layers: pieces(header{kind: 'D', name: "d", magic: gnu, body: []byte("Yvictim\x00\x00")}.block()), Says: "type",
		},
		{
			Case:   Case{"kind-solaris-acl", "Solaris's access lists, type A, and extended headers, type X", "Solaris tar(1)", Reject},
			Layers: pieces(header{kind: 'A', name: "f", body: []byte("user::rwx")}.block(), plain("f", "x")), Says: "type",
		},
		{
			Case:   Case{"kind-special-places", "/dev is a file, /proc a FIFO, /sys a link to itself", "CVE-2025-52565 (runc) class", Accept},
			Layers: entries(file("dev", "x"), fifo("proc"), symlink("sys", "sys")), Tree: Tree{"dev": "file 0644 x", "proc": "fifo 0644", "sys": "link sys"},
		},
	}
}

func duplicates() []Layer {
	return []Layer{
		{
			Case:   Case{"twice-every-way", "one name as file, directory, link, FIFO and file again, each replacing the one before", "CVE-2024-32002 class", Contain},
			Layers: entries(file("n", "1"), dir("n"), file("n/f", "2"), symlink("n", "../../../../outside"), fifo("n"), hardlink("m", "n"), dir("n"), file("n", "last")), Tree: Tree{"n": "file 0644 last", "m": "fifo 0644"},
		},
		{
			Case:   Case{"twice-dir-link-dir", "a directory with files becomes a link out, then files go through it", "CVE-2021-32804, CVE-2021-37701 (node-tar)", Contain},
			Layers: entries(dir("d"), file("d/f", "1"), symlink("d", "../../../../outside"), file("d/victim", "x")), Tree: Tree{"d": "link ../../../../outside", "outside/victim": "file 0644 x"},
		},
		{
			Case:   Case{"twice-dir-link-inside", "a directory in use becomes a link to another one: what was open must not be used on", "CVE-2021-32804 (node-tar)", Contain},
			Layers: entries(dir("a"), file("a/1", "x"), dir("b"), symlink("a", "b"), file("a/2", "y")), Tree: Tree{"a": "link b", "b/2": "file 0644 y", "b/1": "absent"},
		},
		{
			Case:   Case{"twice-parent-file", "a file, then another one below it", "own", Normalise},
			Layers: entries(file("a", "x"), file("a/b", "y")), Tree: Tree{"a": "dir 0755", "a/b": "file 0644 y"},
		},
		{
			Case:   Case{"twice-parent-fifo", "a FIFO, then a file below it", "own", Normalise},
			Layers: entries(fifo("a"), file("a/b", "y")), Tree: Tree{"a": "dir 0755", "a/b": "file 0644 y"},
		},
		{
			Case:   Case{"twice-link-own-path", "a link replaced by a directory under a path that leads through it", "own", Contain},
			Layers: entries(dir("x"), symlink("x/l", "."), file("x/l/a", "1"), file("x/l/l", "2"), file("x/l/b", "3")), Tree: Tree{"x/a": "file 0644 1", "x/l": "dir 0755", "x/l/b": "file 0644 3"},
		},
		{
			Case:   Case{"twice-remove-parent", "a directory is replaced by a file while the archive is in it, by way of a link", "own", Contain},
			Layers: entries(dir("a/b"), symlink("a/b/up", "../.."), file("a/b/up/a", "x"), file("a/b/f", "y")), Tree: Tree{"a": "dir 0755", "a/b/f": "file 0644 y"},
		},
		{
			Case:   Case{"twice-2k", "the same file 2,000 times", "own", Accept},
			Layers: entries(slices.Repeat([]fixture.Entry{file("f", "x")}, 2_000)...), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"twice-dir-mode", "a directory twice: the last mode counts, what is in it stays", "image-spec, layer.md", Accept},
			Layers: entries(mode(dir("d"), 0o700), file("d/f", "x"), mode(dir("d"), 0o711)), Tree: Tree{"d": "dir 0711", "d/f": "file 0644 x"},
		},
		{
			Case:   Case{"twice-big-dir", "a directory of 200 files, replaced by a link again and again", "own", Contain},
			Layers: entries(flapping(5, 200)...), Tree: Tree{"d": "link ../../../../outside"},
		},
		{
			Case:   Case{"twice-second-name", "of two names of one file one is written again: the other keeps its content", "CVE-2016-6321 class", Accept},
			Layers: entries(file("a", "1"), hardlink("b", "a"), file("b", "2")), Tree: Tree{"a": "file 0644 1", "b": "file 0644 2"},
		},
	}
}

// flapping makes a directory of n files and replaces it by a link out, several times.
func flapping(times, n int) (all []fixture.Entry) {
	for range times {
		all = append(all, dir("d"))
		for i := range n {
			all = append(all, file(fmt.Sprintf("d/%d", i), "x"))
		}
		all = append(all, symlink("d", "../../../../outside"))
	}
	return all
}

func device(kind byte, name string, major, minor int64) fixture.Entry {
	e := fixture.Device(name, major, minor)
	e.Typeflag = kind
	return e
}
