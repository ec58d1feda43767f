package location

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
)

// tryDir finds out by trying whether the file system of dir can hold overlay layers of an unprivileged user: whiteouts,
// extended attributes in the user namespace, renames and hard links. The error names what it cannot do.
func tryDir(dir string) (err error) {
	place, err := fsx.TempDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fsx.RemoveAll(place)) }()
	fd, err := sys.OpenDir(place)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close(fd)) }()
	steps := []struct {
		what string
		try  func() error
	}{
		{"overlay whiteouts", func() error { return sys.WhiteoutAt(fd, "whiteout") }},
		{"user extended attributes", func() error { return sys.SetXattr(fd, place, sys.OverlayOpaque, []byte("y")) }},
		{"symbolic links", func() error { return sys.SymlinkAt("/", fd, "symlink") }},
		{"hard links", func() error { return sys.LinkAt(fd, "symlink", fd, "link") }},
		{"renames that leave a whiteout", func() error { return sys.RenameLeavesWhiteout(fd, "symlink", "moved") }},
		{"renames", func() error { return fsx.Rename(filepath.Join(place, "link"), filepath.Join(place, "renamed")) }},
	}
	for _, step := range steps {
		err := fsx.Step("try "+step.what, dir)
		if err == nil {
			err = step.try()
		}
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err // the directory is named, and what was tried in it has gone
		}
		if err != nil {
			return fmt.Errorf("%s (%s) cannot hold layers: no %s: %w", dir, host.FilesystemType(dir), step.what, err)
		}
	}
	return nil
}
