package imageset

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// epoch is the time of every entry.
var epoch = time.Unix(1_700_000_000, 0)

// writeLayer writes the archive of a layer: its parts below a directory with the layer's number, which is also the seed.
func writeLayer(w io.Writer, number uint64, parts []part) error {
	archive := tar.NewWriter(w)
	material := newContent(number)
	top := fmt.Sprintf("opt/layer%02d", number)
	err := errors.Join(addDir(archive, "opt"), addDir(archive, top))
	for n, p := range parts {
		if err == nil {
			err = writePart(archive, material, fmt.Sprintf("%s/part%d", top, n), p)
		}
	}
	return errors.Join(err, archive.Close())
}

func writePart(archive *tar.Writer, material *content, top string, p part) error {
	if err := addDir(archive, top); err != nil {
		return err
	}
	dir := ""
	for n := range p.files {
		if n%p.perDir == 0 {
			dir = fmt.Sprintf("%s/package_%04d", top, n/p.perDir)
			if err := addDir(archive, dir); err != nil {
				return err
			}
		}
		if err := addFile(archive, material, fmt.Sprintf("%s/module_%06d.bin", dir, n), material.size(p.mean)); err != nil {
			return err
		}
	}
	return nil
}

func addDir(archive *tar.Writer, name string) error {
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX})
}

func addFile(archive *tar.Writer, material *content, name string, size int) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: 0o644, ModTime: epoch, Format: tar.FormatPAX}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	for left := size; left > 0; {
		piece := material.piece(left)
		if _, err := io.Copy(archive, bytes.NewReader(piece)); err != nil {
			return err
		}
		left -= len(piece)
	}
	return nil
}
