package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/coracle-run/coracle/oci/registry"
)

// Source is an image of an archive as package pull wants it. It can be used as long as the archive is open.
type Source struct {
	archive *Archive
	image   Image
	ref     string
	origin  string
}

// Source makes an image something to pull from. ref is the reference that it shall be stored under, "" for none; origin is
// where it can be found again, "" when it cannot, because it came through a pipe.
func (a *Archive) Source(image Image, ref, origin string) *Source {
	return &Source{archive: a, image: image, ref: ref, origin: origin}
}

// String is the name of the archive.
func (s *Source) String() string { return s.archive.String() }

// Reference is what the image is stored under, "" for its digest alone.
func (s *Source) Reference() string { return s.ref }

// Origin is where the image can be found again.
func (s *Source) Origin() string { return s.origin }

// Made reports whether the image's manifest is not the archive's: see Image.Made.
func (s *Source) Made() bool { return s.image.Made }

// Digest is that of the image's manifest or index.
func (s *Source) Digest(context.Context) (digest.Digest, error) { return s.image.Root, nil }

// Resolve finds the image's manifest for a platform and its configuration.
func (s *Source) Resolve(ctx context.Context, d digest.Digest, platform ocispec.Platform) (registry.Resolved, error) {
	r, err := registry.ResolveIn(ctx, s.archive, d, platform)
	if _, made := s.archive.made[r.Index]; made {
		r.Index = "" // it is nobody else's
	}
	return r, err
}

// Open reads a part of a blob where it lies. See package pull's Source.
func (s *Source) Open(_ context.Context, desc ocispec.Descriptor, offset, length int64) (io.ReadCloser, error) {
	f, err := s.archive.blob(desc.Digest)
	if err != nil {
		return nil, err
	}
	if f.Size() != desc.Size {
		return nil, errors.Join(fmt.Errorf("blob %s: %w: %d bytes, and the manifest says %d", desc.Digest, registry.ErrDigest, f.Size(), desc.Size), f.Close())
	}
	return &section{SectionReader: io.NewSectionReader(f, offset, length), file: f, end: length}, nil
}

// section is a part of a blob.
type section struct {
	*io.SectionReader
	file io.Closer
	done int64
	end  int64
}

// Read implements io.Reader; an end before the end is an error that no other attempt will help against.
func (s *section) Read(p []byte) (int, error) {
	n, err := s.SectionReader.Read(p)
	s.done += int64(n)
	if errors.Is(err, io.EOF) && s.done < s.end {
		err = damaged("it became shorter while it was read")
	}
	return n, err
}

// Close implements io.Closer.
func (s *section) Close() error { return s.file.Close() }

// String names the archive in messages, and makes it registry.Documents.
func (a *Archive) String() string { return a.name.String() }

// Document reads a manifest, an index or a configuration.
func (a *Archive) Document(_ context.Context, d digest.Digest) ([]byte, error) {
	raw, err := a.document(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notThere(d)
	}
	return raw, err
}

func (a *Archive) document(d digest.Digest) ([]byte, error) {
	if raw, ok := a.made[d]; ok {
		return raw, nil
	}
	name, err := a.path(d)
	if err != nil {
		return nil, err
	}
	return read(a.files, name)
}

func (a *Archive) blob(d digest.Digest) (file, error) {
	name, err := a.path(d)
	if err != nil {
		return nil, err
	}
	f, err := a.files.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notThere(d)
	}
	return f, err
}

func notThere(d digest.Digest) error {
	return damaged("%s is not in it; was it written to its end, and for this platform?", d)
}

// path is where a blob is.
func (a *Archive) path(d digest.Digest) (string, error) {
	if name, ok := a.blobs[d]; ok {
		return name, nil
	}
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return "", damaged("digest %q", clip(string(d)))
	}
	return blobDir + d.Encoded(), nil
}
