package hostile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Node is everything about one file that may matter.
type Node struct {
	Path       string // relative, "." for the root
	Kind       uint32 // unix.S_IFMT
	Mode       uint32 // permissions with set-id and sticky bits
	UID, GID   uint32
	Ino, Nlink uint64
	Rdev       uint64
	Size, Room int64 // bytes; what the file takes of the disk
	Mtime      time.Time
	Ctime      time.Time
	Link       string            // of a symbolic link
	Hash       string            // of a regular file, if asked for
	Head       string            // its first 64 bytes
	Xattrs     map[string]string // all that can be seen
}

// Walk reads a tree, sorted by path, with the hashes of files or without. With "." as dir, paths below may be as long as paths can be.
func Walk(dir string, hashes bool) (nodes []Node, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n, err := Look(path, hashes)
		if errors.Is(err, fs.ErrNotExist) && entry.Type()&fs.ModeCharDevice != 0 {
			// A whiteout in a directory that hides nothing: overlayfs lists its name, and there is nothing behind it.
			n, err = Node{Kind: unix.S_IFCHR}, nil
		}
		if err != nil {
			return err
		}
		if n.Path, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		nodes = append(nodes, n)
		return nil
	})
	return nodes, err
}

// Look reads one file, without following a link.
func Look(path string, hash bool) (Node, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Node{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	n := Node{
		Path: path, Kind: st.Mode & unix.S_IFMT, Mode: st.Mode &^ unix.S_IFMT, UID: st.Uid, GID: st.Gid, Ino: st.Ino,
		Nlink: uint64(st.Nlink), Rdev: st.Rdev, Size: st.Size, Room: 512 * st.Blocks, //nolint:unconvert // Nlink has 32 bits on arm64
		Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()),
	}
	var err error
	switch n.Kind {
	case unix.S_IFLNK:
		n.Link, err = os.Readlink(path)
	case unix.S_IFREG:
		n.Hash, n.Head, err = content(path, hash)
	}
	if err != nil {
		return n, err
	}
	n.Xattrs, err = xattrs(path)
	return n, err
}

func content(path string, whole bool) (hash, head string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	sum := sha256.New()
	first := make([]byte, 64)
	n, err := io.ReadFull(f, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", "", err
	}
	if !whole {
		return "", string(first[:n]), nil
	}
	sum.Write(first[:n])
	if _, err := io.Copy(sum, f); err != nil {
		return "", "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), string(first[:n]), nil
}

func xattrs(path string) (map[string]string, error) {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) || n == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	found := map[string]string{}
	value := make([]byte, 64<<10)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		size, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, &fs.PathError{Op: "lgetxattr " + name, Path: path, Err: err}
		}
		found[name] = string(value[:size])
	}
	return found, nil
}

// Describe says in a few words what a file is: "file 0644 content", "dir 0755", "link target", "fifo 0644", "device 1:3";
// then its attributes of users, "user.name=value", and how many names it has when there are several.
func Describe(n Node) string {
	var text string
	switch n.Kind {
	case unix.S_IFREG:
		text = fmt.Sprintf("file %04o %s", n.Mode, n.Head)
		if n.Size > int64(len(n.Head)) {
			text = fmt.Sprintf("file %04o of %d bytes", n.Mode, n.Size)
		}
		if n.Nlink > 1 {
			text += fmt.Sprintf(" (%d names)", n.Nlink)
		}
	case unix.S_IFDIR:
		text = fmt.Sprintf("dir %04o", n.Mode)
	case unix.S_IFLNK:
		text = "link " + n.Link
	case unix.S_IFIFO:
		text = fmt.Sprintf("fifo %04o", n.Mode)
	default:
		text = fmt.Sprintf("device %d:%d", unix.Major(n.Rdev), unix.Minor(n.Rdev))
	}
	var names []string
	for name := range n.Xattrs {
		if strings.HasPrefix(name, "user.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf(" %s=%.20s", name, n.Xattrs[name])
	}
	return strings.TrimSuffix(text, " ")
}

// Dangerous says what must not be in the tree of an unpacked layer, whatever the archive said, or "".
func Dangerous(n Node, uid, gid uint32) string {
	switch {
	case n.UID != uid || n.GID != gid:
		return fmt.Sprintf("belongs to %d:%d", n.UID, n.GID)
	case n.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		return fmt.Sprintf("has the mode %04o", n.Mode)
	case n.Kind == unix.S_IFBLK || n.Kind == unix.S_IFSOCK || n.Kind == unix.S_IFCHR && n.Rdev != 0:
		return "is a " + Describe(n)
	case strings.HasPrefix(filepath.Base(n.Path), ".wh."):
		return "was not understood as a whiteout"
	case n.Kind == unix.S_IFDIR && n.Mode&0o700 != 0o700, n.Kind == unix.S_IFREG && n.Mode&0o400 == 0:
		return fmt.Sprintf("has the mode %04o, and its owner cannot use it", n.Mode)
	}
	for name, value := range n.Xattrs {
		ours := name == "user.overlay.opaque" && value == "y" && n.Kind == unix.S_IFDIR
		if !ours && (strings.HasPrefix(name, "user.overlay.") || !strings.HasPrefix(name, "user.")) {
			return fmt.Sprintf("has the attribute %s=%q", name, value)
		}
	}
	return ""
}
