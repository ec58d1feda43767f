package host

import (
	"fmt"

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
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return ""
	}
	if name, ok := filesystems[fs.Type]; ok {
		return name
	}
	return fmt.Sprintf("%#x", fs.Type)
}
