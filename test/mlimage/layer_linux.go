package mlimage

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
)

// A snapshot says what a tree held: path below its root -> inode and change time. The kernel moves a file's change time
// on every change of content or metadata, and nothing can set it back.
type snapshot map[string]stamp

type stamp struct {
	inode uint64
	ctime syscall.Timespec
}

// writeChanges writes a layer, as the image specification has it (layer.md), of what changed below root since the
// snapshot: new and changed entries in the order of their names, then a whiteout for each name that is gone. It returns
// the snapshot of now.
func writeChanges(w io.Writer, root string, before snapshot) (snapshot, error) {
	archive := &archiver{tar: tar.NewWriter(w), root: root, links: map[uint64]string{}, written: map[string]bool{".": true}}
	now := snapshot{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		_, stat, err := lstat(path)
		if err != nil {
			return err
		}
		now[name] = stamp{stat.Ino, stat.Ctim}
		if now[name] == before[name] {
			return nil
		}
		return archive.add(name)
	})
	if err == nil {
		err = archive.whiteouts(gone(before, now))
	}
	return now, errors.Join(err, archive.tar.Close())
}

func lstat(path string) (fs.FileInfo, *syscall.Stat_t, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, nil, fmt.Errorf("%s: no stat", path)
	}
	return info, stat, nil
}

// gone lists what the new snapshot lacks, without what lies below another name of the list.
func gone(before, now snapshot) []string {
	var names []string
	for name := range before {
		_, there := now[name]
		if _, parent := now[filepath.Dir(name)]; !there && (parent || filepath.Dir(name) == ".") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// archiver writes entries, each after its parent directories, changed or not, and hard links after their first name.
type archiver struct {
	tar     *tar.Writer
	root    string
	links   map[uint64]string // inode -> the name it was written under
	written map[string]bool
}

// add writes the entry of a name below the root, unless it is there already or is a socket.
func (a *archiver) add(name string) error {
	if a.written[name] {
		return nil
	}
	a.written[name] = true
	if err := a.add(filepath.Dir(name)); err != nil {
		return err
	}
	info, stat, err := lstat(filepath.Join(a.root, name))
	if err != nil || info.Mode()&fs.ModeSocket != 0 {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(filepath.Join(a.root, name)); err != nil {
			return err
		}
	}
	header, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	header.Name, header.Uname, header.Gname, header.Format = name, "", "", tar.FormatPAX
	if info.IsDir() {
		header.Name += "/"
	}
	if first, ok := a.links[stat.Ino]; ok && !info.IsDir() {
		header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		return a.tar.WriteHeader(header)
	}
	if stat.Nlink > 1 && !info.IsDir() {
		a.links[stat.Ino] = name
	}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	return a.body(name)
}

func (a *archiver) body(name string) error {
	f, err := os.Open(filepath.Join(a.root, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(a.tar, f)
	return errors.Join(err, f.Close())
}

func (a *archiver) whiteouts(names []string) error {
	for _, name := range names {
		dir, base := filepath.Split(name)
		if err := a.add(filepath.Clean(dir)); err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: dir + ".wh." + base, Mode: 0o600}
		if err := a.tar.WriteHeader(header); err != nil {
			return err
		}
	}
	return nil
}
