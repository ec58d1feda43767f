package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// filesystems names those on which training data and results are found, by the magic numbers of statfs(2). Lustre, GPFS and
// BeeGFS are not in the kernel's own headers.
var filesystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.FUSE_SUPER_MAGIC: "fuse",
	unix.NFS_SUPER_MAGIC: "nfs", unix.CEPH_SUPER_MAGIC: "ceph", unix.SMB2_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "cifs",
	unix.AFS_SUPER_MAGIC: "afs", unix.SQUASHFS_MAGIC: "squashfs", unix.EROFS_SUPER_MAGIC_V1: "erofs",
	0x2fc12fc1: "zfs", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x19830326: "beegfs", unix.V9FS_MAGIC: "9p",
	0x6a656a63: "virtiofs", unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs",
}

// FilesystemType names the file system at path; one that is not known comes as its magic number, "" when it cannot be asked.
func FilesystemType(path string) string {
	fs, err := statfs(path)
	if err != nil {
		return ""
	}
	return filesystemName(fs)
}

func filesystemName(fs unix.Statfs_t) string {
	if name, ok := filesystems[fs.Type]; ok {
		return name
	}
	return fmt.Sprintf("%#x", fs.Type)
}

// Filesystem is the file system of a directory. Space is in bytes; free is what an ordinary user may have of it.
type Filesystem struct {
	Dir        string `json:"dir"`
	Type       string `json:"type"`
	Size       int64  `json:"size"`
	Free       int64  `json:"free"`
	Inodes     int64  `json:"inodes"` // 0: it has as many as it needs, or does not say
	InodesFree int64  `json:"inodes_free"`
	ReadOnly   bool   `json:"read_only"`
}

// StatFilesystem asks a file system for its size.
func StatFilesystem(dir string) (Filesystem, error) {
	fs, err := statfs(dir)
	if err != nil {
		return Filesystem{}, err
	}
	unit := fs.Frsize
	if unit == 0 {
		unit = fs.Bsize
	}
	return Filesystem{
		Dir: dir, Type: filesystemName(fs), Size: int64(fs.Blocks) * unit, Free: int64(fs.Bavail) * unit,
		Inodes: int64(fs.Files), InodesFree: int64(fs.Ffree), ReadOnly: fs.Flags&unix.ST_RDONLY != 0,
	}, nil
}

// statfs waits out signals, with which network file systems may answer.
func statfs(path string) (fs unix.Statfs_t, err error) {
	for {
		if err = unix.Statfs(path, &fs); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fs, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return fs, nil
}
