package hostile

import (
	"archive/tar"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coracle-run/coracle/test/fixture"
)

// An Image is one that is not hostile, made in a way that builders do make them. None may be refused, and each must be
// unpacked as umoci unpacks it.
type Image struct {
	Name, What string
	Layers     func() []fixture.Layer
}

// Images are made in as many ways as there are known.
func Images() []Image {
	return []Image{
		{"usrmerge", "Debian since 2019: bin, sbin and lib are links, and packages put files through them", entries(
			dir("usr"), dir("usr/bin"), dir("usr/lib"), dir("usr/lib/x86_64"), symlink("bin", "usr/bin"), symlink("lib", "usr/lib"), symlink("lib64", "usr/lib/x86_64"),
			file("bin/ls", "ls"), file("lib/libc.so.6", "libc"), hardlink("bin/dir", "bin/ls"), symlink("usr/bin/sh", "dash"), file("lib64/ld.so", "ld"))},
		{"many-layers", "60 layers, each of which changes something of those below", manyLayers(60)},
		{"zstd", "packed with zstd", packedAs(fixture.Zstd, tree)},
		{"plain", "not packed at all", packedAs(fixture.Plain, tree)},
		{"hardlinks", "hundreds of names for a few files, in several directories, in chains, and of links", func() []fixture.Layer {
			all := []fixture.Entry{dir("a"), dir("b"), file("a/0", "zero"), symlink("a/s", "0"), hardlink("b/s", "a/s")}
			for i := range 300 {
				all = append(all, hardlink(fmt.Sprintf("b/%d", i), fmt.Sprintf("%s/%d", []string{"a", "b"}[min(i, 1)], max(i-1, 0))))
			}
			return []fixture.Layer{fixture.NewLayer(fixture.Gzip, all...)}
		}},
		{"absolute", "hard and symbolic links with absolute targets, as docker and buildah write", entries(
			dir("usr/bin"), file("usr/bin/tool", "x"), hardlink("usr/bin/other", "/usr/bin/tool"), symlink("etc", "/usr/etc"), dir("usr/etc"), file("usr/etc/conf", "c"), symlink("link", "/etc/conf"))},
		{"long-names", "components of 255 bytes, paths of 1500, long targets, by PAX records", entries(longNames(tar.FormatPAX)...)},
		{"gnu", "the same in GNU's format", entries(longNames(tar.FormatGNU)...)},
		{"ustar", "the format of 1988, with names in two parts", func() []fixture.Layer {
			all := []fixture.Entry{dir(strings.Repeat("d", 90)), file(strings.Repeat("d", 90)+"/"+strings.Repeat("f", 90), "x"), symlink("s", strings.Repeat("t", 99))}
			for i := range all {
				all[i].Format = tar.FormatUSTAR
			}
			return []fixture.Layer{fixture.NewLayer(fixture.Gzip, all...)}
		}},
		{"sparse", "sparse files in the formats 0.1 and 1.0 of PAX; umoci does not know GNU's old one", pieces(
			header{kind: '5', name: "d", mode: "0000755"}.block(), sparse1("one", 100_000, "2\n512\n5\n99995\n5\n", []byte("helloworld")...),
			pax("GNU.sparse.size", "5000", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "4000,5"), plain("zeroone", "hello"))},
		{"whiteouts", "files, links and directories hidden, and some of them there again", stack(tree, entries(
			whiteout("", "f"), dir("d"), whiteout("d", "low"), whiteout("", "l"), dir("usr"), dir("usr/share"), whiteout("usr/share", "doc"), dir("etc"), whiteout("etc", "passwd"), file("etc/passwd", "new")))},
		{"opaque", "opaque directories, markers first and last, of three layers", stack(tree,
			entries(dir("d"), opaque("d"), file("d/new", "2")), entries(dir("usr"), file("usr/top", "3"), dir("usr/share"), opaque("usr/share"), dir("d"), file("d/newer", "3")))},
		{"types-change", "from layer to layer files become directories, directories links, links files", stack(tree, entries(
			dir("f"), file("f/x", "x"), symlink("d", "usr"), whiteout("", "l"), file("l", "no link any more"), dir("usr"), file("usr/share", "a file")))},
		{"xattrs", "attributes of users on files and directories", entries(
			file("f", "x").Xattr("user.mime_type", "text/plain").Xattr("user.note", "n"), dir("d").Xattr("user.checksum", "\x00\x01\xff"), file("d/f", "y").Xattr("user.checksum", strings.Repeat("v", 1000)))},
		{"duplicates", "names that come twice, as docker commit and merged archives have them", entries(
			dir("d"), file("d/f", "1"), dir("d"), file("d/f", "22"), file("e", "1"), symlink("e", "d"), file("g", "1"), hardlink("h", "g"), file("g", "2"), mode(dir("d"), 0o711))},
		{"fifos", "named pipes, and modes from nothing to everything", entries(
			fifo("p"), mode(file("suid", "x"), 0o4755), mode(dir("sticky"), 0o1777), mode(dir("none"), 0), mode(file("none/f", "x"), 0), mode(file("all", "x"), 0o777), mode(dir("sgid"), 0o2755), mode(file("w", "x"), 0o222))},
		{"times", "times before 1970, with nanoseconds, and far ahead", entries(
			file("old", "x").At(time.Unix(-86400, 0)), file("nano", "x").At(time.Unix(1e9, 123456789)), dir("d").At(time.Unix(5, 0)), file("d/f", "x").At(time.Unix(1<<32, 0)), symlink("l", "nano").At(time.Unix(7, 9)), file("zero", "x").At(time.Unix(0, 0)))},
		{"dots", "names with ./ before them, as tar -c . writes", entries(dir("."), dir("./etc"), file("./etc/conf", "x"), hardlink("./conf", "./etc/conf"), symlink("./link", "etc"))},
		{"names", "names of all sorts: spaces, newlines, no UTF-8, with meanings to shells", func() []fixture.Layer {
			return pieces(plain("caf\xe9", "x"), plain("new\nline", "x"), plain("-rf *", "x"), plain("caf\u00e9", "x"), plain("cafe\u0301", "x"), plain(`back\slash`, "x"))()
		}},
		{"implied", "directories that no entry names, in one layer", entries(file("a/b/c/f", "x"), file("a/b/g", "y"))},
		{"big", "files of megabytes among many small ones", entries(bigAndSmall()...)},
	}
}

// tree is a bit of everything, for layers on top to change.
var tree = stack(below, entries(dir("usr"), dir("usr/share"), dir("usr/share/doc"), file("usr/share/doc/README", "read me"), file("usr/share/x", "x")))

// packedAs are the same layers with another compression.
func packedAs(c fixture.Compression, layers func() []fixture.Layer) func() []fixture.Layer {
	return func() (all []fixture.Layer) {
		for _, l := range layers() {
			all = append(all, fixture.LayerOf(c, Unpacked(l)))
		}
		return all
	}
}

func manyLayers(n int) func() []fixture.Layer {
	return func() []fixture.Layer {
		all := tree()
		for i := range n {
			changes := []fixture.Entry{dir("d"), file(fmt.Sprintf("d/%d", i), "x"), file("d/all", fmt.Sprint(i)), dir(fmt.Sprintf("l%d", i%7)), file(fmt.Sprintf("l%d/f", i%7), fmt.Sprint(i))}
			if i%5 == 4 {
				changes = append(changes, whiteout("d", fmt.Sprint(i-2)))
			}
			all = append(all, fixture.NewLayer(fixture.Gzip, changes...))
		}
		return all
	}
}

func longNames(format tar.Format) []fixture.Entry {
	deep := strings.Repeat(strings.Repeat("d", 99)+"/", 15)
	all := []fixture.Entry{
		file(strings.Repeat("n", 255), "x"), file(strings.Repeat("n", 101), "y"), symlink("s", strings.Repeat("t/", 1000)+"t"),
		file(deep+"f", "z"), hardlink(deep+strings.Repeat("h", 200), deep+"f"), file(strings.Repeat("\u00e9", 100), "u"),
	}
	for i := range all {
		all[i].Format = format
	}
	return all
}

func bigAndSmall() []fixture.Entry {
	all := []fixture.Entry{file("big", strings.Repeat(noise(1<<20), 5)), file("zeros", string(make([]byte, 3<<20)))}
	for i := range 300 {
		all = append(all, file(fmt.Sprintf("s%d/%d", i%10, i), strings.Repeat("x", i*7)))
	}
	return slices.Concat(all, []fixture.Entry{file("last", noise(700_001))})
}
