package hostile

import (
	"fmt"
	"strings"

	"github.com/coracle-run/coracle/test/fixture"
)

// Attacks by extended attributes.
func attributes() []Layer {
	return []Layer{
		{
			Case:   Case{"xattr-user", "user.* attributes are the image's own", "image-spec, layer.md", Accept},
			Layers: entries(file("f", "x").Xattr("user.good", "v"), dir("d").Xattr("user.good", "v")), Tree: Tree{"f": "file 0644 x user.good=v", "d": "dir 0755 user.good=v"},
		},
		{
			Case:   Case{"xattr-capability", "security.capability: a file unpacked by root would have it", "CVE-2021-20188 class; capabilities(7)", Normalise},
			Layers: entries(file("f", "x").Xattr("security.capability", "\x01\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"xattr-security", "security.selinux, security.ima, security.evm, system.posix_acl_access, trusted.x, nonsense", "xattr(7)", Normalise},
			Layers: entries(file("f", "x").Xattr("security.selinux", "v").Xattr("security.ima", "v").Xattr("security.evm", "v").Xattr("system.posix_acl_access", acl).Xattr("trusted.x", "v").Xattr("nonsense", "v").Xattr("user", "v").Xattr("user.", "v")),
			Tree:   Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"xattr-acl-schily", "access lists as PAX records SCHILY.acl.access", "star(5); GNU tar --acls", Normalise},
			Layers: pieces(pax("SCHILY.acl.access", "user::rwx,user:nobody:rwx,group::rwx,mask::rwx,other::rwx"), plain("f", "x")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"xattr-acl-default", "a default access list on a directory, which its files would inherit", "acl(5)", Normalise},
			Layers: entries(dir("d").Xattr("system.posix_acl_default", acl), file("d/f", "x")), Tree: Tree{"d": "dir 0755", "d/f": "file 0644 x"},
		},
		{
			Case:   Case{"xattr-nul", "an attribute's name with a zero byte: user.a\\0.overlay", "golang issue; CVE-2019-9740 class", Reject},
			Layers: pieces(pax("SCHILY.xattr.user.a\x00b", "v"), plain("f", "x")), Says: "malformed",
		},
		{
			Case:   Case{"xattr-equals", "an attribute's name with an equals sign, as libarchive escapes it", "PAX records end their key at the first one", Accept},
			Layers: pieces(pax("SCHILY.xattr.user.a=b", "v"), plain("f", "x")), Tree: Tree{"f": "file 0644 x user.a=b=v"},
		},
		{
			Case:   Case{"xattr-libarchive", "LIBARCHIVE.xattr, base64 of what the other form has plainly", "libarchive", Normalise},
			Layers: pieces(pax("LIBARCHIVE.xattr.trusted.overlay.opaque", "eQ", "LIBARCHIVE.xattr.user.overlay.opaque", "eQ"), header{kind: '5', name: "d", mode: "0000755"}.block()), Tree: Tree{"d": "dir 0755"},
		},
		{
			Case:   Case{"xattr-64k", "a value of 64 KiB, which ext4 has no room for", "xattr(7)", Normalise},
			Layers: entries(file("f", "x").Xattr("user.big", strings.Repeat("v", 64<<10)).Xattr("user.good", "v"), file("g", "y")), Tree: Tree{"g": "file 0644 y"},
		},
		{
			Case:   Case{"xattr-name-256", "a name of 256 bytes", "xattr(7), XATTR_NAME_MAX", Normalise},
			Layers: entries(file("f", "x").Xattr("user."+strings.Repeat("n", 251), "v")), Tree: Tree{"f": "file 0644 x"},
		},
		{
			Case:   Case{"xattr-10k", "10,000 attributes on one file", "own", Normalise},
			Layers: entries(manyXattrs(10_000), file("g", "y")), Tree: Tree{"g": "file 0644 y"},
		},
		{
			Case:   Case{"xattr-controls", "a name with ESC and newline", "own", Accept},
			Layers: entries(file("f", "x").Xattr("user.\x1b[2J", "v")), Tree: Tree{"f": "file 0644 x user.\x1b[2J=v"},
		},
		{
			Case:   Case{"xattr-on-link", "attributes on a symbolic link: set on the link they are refused, set on its target they leave", "CVE-2021-4122 class; xattr(7)", Normalise},
			Layers: pieces(pax("SCHILY.xattr.user.a", "v"), header{kind: '2', name: "l", link: "../../../../outside/victim"}.block()), Tree: Tree{"l": "link ../../../../outside/victim"},
		},
		{
			Case:   Case{"xattr-on-hardlink", "attributes on a hard link would change the file it names", "own", Normalise},
			Layers: pieces(plain("f", "x"), pax("SCHILY.xattr.user.overlay.whiteout", "y"), header{kind: '1', name: "l", link: "f"}.block()), Tree: Tree{"f": "file 0644 x (2 names)"},
		},
		{
			Case:   Case{"xattr-on-whiteout", "attributes on a whiteout", "own", Normalise},
			Layers: stack(below, entries(whiteout("", "f").Xattr("user.a", "v"), opaque("d").Xattr("user.overlay.redirect", "/etc"))), Tree: Tree{"f": "absent", "d": "dir 0755", "d/low": "absent"},
		},
		{
			Case:   Case{"xattr-case", "USER.overlay.opaque and user.OVERLAY.opaque mean nothing", "own", Normalise},
			Layers: stack(below, entries(dir("d").Xattr("USER.overlay.opaque", "y").Xattr("user.OVERLAY.opaque", "y"))), Tree: Tree{"d": "dir 0755 user.OVERLAY.opaque=y", "d/low": "file 0644 low"},
		},
	}
}

// acl is an access list for everybody (linux/posix_acl_xattr.h).
const acl = "\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x04\x00\x07\x00\xff\xff\xff\xff\x20\x00\x07\x00\xff\xff\xff\xff"

func manyXattrs(n int) fixture.Entry {
	e := file("f", "x")
	e.PAXRecords = map[string]string{}
	for i := range n {
		e.PAXRecords[fmt.Sprintf("SCHILY.xattr.user.%d", i)] = "v"
	}
	return e
}
