package hostile

import (
	"slices"

	"github.com/coracle-run/coracle/test/fixture"
)

// Layers are all attacks by what layers hold.
func Layers() []Layer {
	return slices.Concat(names(), links(), whiteouts(), headers(), numbers(), kinds(), attributes(), duplicates(), streams())
}

// Entries of the attacks, with the modes that do not matter to them.

func file(name, body string) fixture.Entry        { return fixture.File(name, body, 0o644) }
func dir(name string) fixture.Entry               { return fixture.Dir(name, 0o755) }
func symlink(name, to string) fixture.Entry       { return fixture.Symlink(name, to) }
func hardlink(name, to string) fixture.Entry      { return fixture.Hardlink(name, to) }
func whiteout(dir, name string) fixture.Entry     { return fixture.Whiteout(dir, name) }
func opaque(dir string) fixture.Entry             { return fixture.Opaque(dir) }
func mode(e fixture.Entry, m int64) fixture.Entry { e.Mode = m; return e }

// below is the layer on which attacks by several layers stand.
var below = entries(
	dir("d"), file("d/low", "low"), dir("d/sub"), file("d/sub/low", "low"), file("f", "low"),
	dir("usr"), dir("usr/bin"), file("usr/bin/tool", "low"), symlink("bin", "usr/bin"),
	dir("etc"), file("etc/passwd", "low"), symlink("out", "../../../../outside"), symlink("l", "f"),
)
