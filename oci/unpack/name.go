package unpack

import (
	"fmt"
	"strings"
)

// Bounds of the kernel: PATH_MAX without its terminating zero, NAME_MAX.
const (
	maxPath = 4095
	maxName = 255
)

// cleanName checks the name of an entry or the target of a hard link and makes it relative to the layer's root: "usr/bin".
// The root is "". Leading slashes, "." and doubled slashes are taken off; ".." is refused wherever it stands, for no
// archiver of layers writes it.
func cleanName(name string, maxDepth int) (string, error) {
	if len(name) > maxPath {
		return "", fmt.Errorf("%w: a name of %d bytes", ErrLayer, len(name))
	}
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("%w: a name with a zero byte", ErrLayer)
	}
	parts := make([]string, 0, 16)
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return "", ErrEscape
		case len(part) > maxName:
			return "", fmt.Errorf("%w: a component of %d bytes", ErrLayer, len(part))
		}
		parts = append(parts, part)
	}
	if len(parts) > maxDepth+1 {
		return "", fmt.Errorf("%w: %d directories deep", ErrLimit, len(parts)-1)
	}
	return strings.Join(parts, "/"), nil
}

// split is a clean name's directory, "" for the root, and its last component.
func split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// Names of the layer specification (image-spec, layer.md, "Whiteouts"). Names that begin with the meta prefix belong to
// AUFS itself; the only one with a meaning outside is the opaque marker.
const (
	whiteoutPrefix = ".wh."
	metaPrefix     = ".wh..wh."
	opaqueMarker   = ".wh..wh..opq"
)

// kind is what a name says about its entry.
type kind int

const (
	plain    kind = iota
	whiteout      // hides a name of the layers below
	opaque        // hides everything the layers below have in this directory
	meta          // AUFS's own; passed over
)

// classify finds the kind of an entry by its clean name, and the name a whiteout hides.
func classify(name string) (k kind, hidden string, err error) {
	dir, base := split(name)
	if strings.HasPrefix(dir, metaPrefix) || strings.Contains(dir, "/"+metaPrefix) {
		return meta, "", nil
	}
	if strings.HasPrefix(dir, whiteoutPrefix) || strings.Contains(dir, "/"+whiteoutPrefix) {
		return 0, "", fmt.Errorf("%w: a path through a whiteout", ErrLayer)
	}
	switch {
	case base == opaqueMarker:
		return opaque, "", nil
	case strings.HasPrefix(base, metaPrefix):
		return meta, "", nil
	case !strings.HasPrefix(base, whiteoutPrefix):
		return plain, "", nil
	}
	hidden = base[len(whiteoutPrefix):]
	if hidden == "" || hidden == "." || hidden == ".." {
		return 0, "", fmt.Errorf("%w: a whiteout of %q", ErrLayer, hidden)
	}
	return whiteout, hidden, nil
}
