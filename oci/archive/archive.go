package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/coracle-run/coracle/oci/registry"
)

// Options of Open.
type Options struct {
	// Scratch makes a file without a name for what must be copied before it can be read: Store.Scratch.
	Scratch func() (*os.File, error)
	// Stream is read in place of a file, to the end of the archive. Name.Path then only names it in messages.
	Stream io.Reader
}

// Archive is an open archive. It may be used by several goroutines, until it is closed.
type Archive struct {
	name   Name
	files  files
	images []Image
	docker bool // it has docker's description

	made  map[digest.Digest][]byte // manifests and indexes that were made here
	blobs map[digest.Digest]string // where blobs are that are not where an OCI layout has them
}

// Image is one image of an archive.
type Image struct {
	Names []registry.Ref // what it is called there, all of them tags; may be empty
	Tag   string         // what an OCI layout calls it besides, such as "latest"; may be ""
	Root  digest.Digest  // of its manifest, or of an index
	Made  bool           // the archive has no manifest: Root was made of docker's description
}

// Open opens an archive and finds out what is in it. Errors are ErrArchive, registry.ErrTooLarge, registry.ErrMediaType and
// those of files; a full disk is one of them.
func Open(ctx context.Context, name Name, opts Options) (_ *Archive, err error) {
	a := &Archive{name: name, made: map[digest.Digest][]byte{}, blobs: map[digest.Digest]string{}}
	if a.files, err = openFiles(ctx, name, opts); err != nil {
		return nil, fmt.Errorf("%s: %w", name.Path, plainError(err))
	}
	if err := a.find(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", name.Path, errors.Join(err, a.files.Close()))
	}
	return a, nil
}

// plainError leaves the path to the one who knows it already.
func plainError(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}

func openFiles(ctx context.Context, name Name, opts Options) (files, error) {
	if opts.Stream != nil {
		r, _, err := unpacked(opts.Stream)
		if err != nil {
			return nil, err
		}
		return spool(ctx, r, opts.Scratch)
	}
	switch dir := isDirectory(name.Path); {
	case dir && (name.Transport == OCI || name.Transport == Any):
		return openDirectory(name.Path)
	case dir:
		return nil, damaged("a directory; oci:%s names an OCI layout", name.Path)
	}
	f, err := os.Open(name.Path)
	if err != nil {
		return nil, err
	}
	if name.Transport == OCI {
		return nil, errors.Join(damaged("not a directory; oci-archive:%s names an archive", name.Path), f.Close())
	}
	t, err := openTar(ctx, f, opts.Scratch)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

// openTar lists an archive in a file, or copies it when it is compressed or no file.
func openTar(ctx context.Context, f *os.File, scratch func() (*os.File, error)) (*tarball, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	r, packed, err := unpacked(f)
	if err != nil {
		return nil, err
	}
	if packed || !info.Mode().IsRegular() {
		t, err := spool(ctx, r, scratch)
		if err != nil {
			return nil, err
		}
		return t, f.Close()
	}
	section := io.NewSectionReader(f, 0, info.Size())
	position := func() int64 {
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			panic("a section can always say where it is: " + err.Error())
		}
		return at
	}
	t, err := list(ctx, section, position, info.Size)
	if err != nil {
		return nil, err
	}
	t.data = f
	return t, nil
}

// Files of archives.
const (
	dockerFile = "manifest.json"
	layoutFile = "oci-layout"
	indexFile  = "index.json"
)

// find finds the images.
func (a *Archive) find(ctx context.Context) error {
	layout, err := a.isLayout()
	if err != nil {
		return err
	}
	if layout {
		if err := a.findLayout(); err != nil {
			return err
		}
	}
	if a.name.Transport == Docker || a.name.Transport == Any {
		there, err := a.findDocker(ctx)
		if err != nil {
			return err
		}
		a.docker, layout = there, layout || there
	}
	switch {
	case !layout && a.name.Transport == Docker:
		return damaged("no %s in it; an archive of docker before 1.10 must be saved anew", dockerFile)
	case !layout && a.name.Transport == Any:
		return damaged("neither docker's %s nor an OCI layout in it", dockerFile)
	case !layout:
		return damaged("no %s in it", layoutFile)
	}
	return a.checkNames()
}

// checkNames refuses two images of one name: which one was meant would be up to the reader.
func (a *Archive) checkNames() error {
	seen := map[registry.Ref]digest.Digest{}
	for _, image := range a.images {
		for _, ref := range image.Names {
			if other, ok := seen[ref]; ok && other != image.Root {
				return damaged("two images are called %s", ref)
			}
			seen[ref] = image.Root
		}
	}
	return nil
}

// Images are all images, in the archive's order.
func (a *Archive) Images() []Image { return a.images }

// Image is the one that Name.Image means: by a name, a tag or its number, or the only one. The error is ErrNoImage.
func (a *Archive) Image() (Image, error) {
	var fits []Image
	for n, image := range a.images {
		if image.is(a.name.Image, n) {
			fits = append(fits, image)
		}
	}
	if len(fits) == 1 {
		return fits[0], nil
	}
	e := &NoImageError{Path: a.name.Path, Name: a.name.Image}
	for n, image := range a.images {
		e.Have = append(e.Have, image.label(n))
	}
	return Image{}, e
}

// is reports whether a name means the image, which is the n-th.
func (i Image) is(name string, n int) bool {
	if number, ok := strings.CutPrefix(name, "@"); ok {
		got, err := strconv.Atoi(number)
		return err == nil && got == n
	}
	if name == "" || name == i.Tag {
		return true
	}
	ref, err := registry.ParseRef(name)
	return err == nil && slices.Contains(i.Names, ref) ||
		slices.ContainsFunc(i.Names, func(r registry.Ref) bool { return r.Tag() == name })
}

// label is by what the n-th image can be named.
func (i Image) label(n int) string {
	switch {
	case len(i.Names) > 0:
		return i.Names[0].Familiar()
	case i.Tag != "":
		return i.Tag
	default:
		return "@" + strconv.Itoa(n)
	}
}

// Place is the full name of an image of the archive, by which it can be opened again from anywhere.
func (a *Archive) Place(image Image) string {
	place := a.name
	if abs, err := place.Absolute(); err == nil {
		place = abs
	}
	if place.Transport == Any {
		place.Transport = a.kind()
	}
	n := slices.IndexFunc(a.images, func(i Image) bool { return i.Root == image.Root })
	if place.Image = ""; len(a.images) > 1 && n >= 0 {
		place.Image = a.images[n].label(n)
	}
	return place.String()
}

// kind is the transport by which an archive can be named that was opened without one.
func (a *Archive) kind() Transport {
	if _, ok := a.files.(*directory); ok {
		return OCI
	}
	if a.docker {
		return Docker
	}
	return OCIArchive
}

// Close closes the archive and what was copied of it.
func (a *Archive) Close() error { return a.files.Close() }
