package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/coracle-run/coracle/oci/registry"
)

// Bounds of what is listed of an archive. Docker's old format has three entries for each layer.
const (
	maxEntries = 100_000
	maxName    = 4096     // PATH_MAX
	maxNames   = 32 << 20 // bytes of all names together
	maxHops    = 8        // from link to link
)

// tarball is a tar archive that is read where it lies.
type tarball struct {
	data  *os.File
	at    map[string]extent
	links map[string]string // from a name to another; "" when it leads out
}

// extent is where an entry's content is in the archive.
type extent struct{ offset, size int64 }

// list finds the entries of an archive. r is read from its beginning on, with Seek where it can; position says how far. size
// is how much there can be at most.
func list(ctx context.Context, r io.Reader, position func() int64, size func() int64) (*tarball, error) {
	t := &tarball{at: map[string]extent{}, links: map[string]string{}}
	reader, names := tar.NewReader(r), 0
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, tarError(err)
		}
		if names += len(h.Name) + len(h.Linkname); n == maxEntries || names > maxNames {
			return nil, fmt.Errorf("archive: %w: at most %d entries with %d bytes of names", registry.ErrTooLarge, maxEntries, maxNames)
		}
		if err := t.add(h, position()); err != nil {
			return nil, err
		}
		if end := position() + h.Size; h.Size < 0 || end < 0 || end > size() {
			return nil, damaged("%s ends behind the end of the archive: it was cut short", clip(h.Name))
		}
	}
}

// tarError tells damage from a disk that cannot be read.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) || errors.Is(err, tar.ErrInsecurePath) {
		return damaged("%w", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it was cut short")
	}
	if errors.Is(err, ErrArchive) {
		return err
	}
	return fmt.Errorf("reading the archive: %w", err)
}

// add takes one entry in. Directories, devices and the like are passed over: nothing here is ever made into a file.
func (t *tarball) add(h *tar.Header, offset int64) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeSymlink, tar.TypeLink, tar.TypeGNUSparse:
	default:
		return nil
	}
	name, err := inside(h.Name)
	if err != nil {
		return err
	}
	if isSparse(h) {
		return damaged("%s: a sparse file, whose content does not lie in one piece", clip(name))
	}
	_, isFile := t.at[name]
	_, isLink := t.links[name]
	switch {
	case (isFile || isLink) && isBlob(name):
		return nil // under its digest it can only be the same
	case isFile || isLink:
		return damaged("%s is there twice, and readers would not agree which one counts", clip(name))
	case h.Typeflag == tar.TypeReg:
		t.at[name] = extent{offset, h.Size}
	case h.Typeflag == tar.TypeSymlink:
		t.links[name] = target(path.Dir(name), h.Linkname)
	default:
		t.links[name] = target(".", h.Linkname)
	}
	return nil
}

func isSparse(h *tar.Header) bool {
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// inside is the plain form of an entry's name, which must be that of something inside.
func inside(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case len(name) > maxName:
		return "", damaged("a name of %d bytes: %s", len(name), clip(name))
	case strings.HasPrefix(name, "/"), strings.ContainsRune(name, 0), clean == ".", strings.Contains("/"+name+"/", "/../"):
		return "", damaged("an entry that is named %q", clip(name))
	}
	return clean, nil
}

// target is where a link of a directory leads, "" when that is not inside.
func target(dir, link string) string {
	to := path.Join(dir, link)
	if strings.HasPrefix(link, "/") || to == ".." || strings.HasPrefix(to, "../") || len(link) > maxName {
		return ""
	}
	return to
}

func (t *tarball) open(name string) (file, error) {
	at := name
	for range maxHops {
		if e, ok := t.at[at]; ok {
			return &part{SectionReader: io.NewSectionReader(t.data, e.offset, e.size)}, nil
		}
		to, ok := t.links[at]
		switch {
		case !ok:
			return nil, &fs.PathError{Op: "finding in the archive", Path: clip(name), Err: fs.ErrNotExist}
		case to == "":
			return nil, damaged("%s: a link that leads out of the archive", clip(name))
		}
		at = to
	}
	return nil, damaged("%s: a link that leads to no file", clip(name))
}

// Close gives the archive up.
func (t *tarball) Close() error { return t.data.Close() }

// part is one entry. The archive is closed as a whole.
type part struct{ *io.SectionReader }

// Close implements io.Closer.
func (part) Close() error { return nil }

// clip keeps a stranger's text to a line's length.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
