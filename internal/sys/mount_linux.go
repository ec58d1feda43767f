package sys

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is mount(2). The error names the target and the file system.
func Mount(source, target, fstype string, flags uintptr, data string) error {
	return retry("mount "+fstype, target, func() error { return unix.Mount(source, target, fstype, flags, data) })
}

// MakeReadOnly makes the mount at path and every mount below it read-only, in the calling process's mount namespace
// (mount_setattr(2), Linux 5.12).
func MakeReadOnly(path string) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return retry("mount_setattr", path, func() error { return unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &attr) })
}

// CanSetMounts reports whether there is mount_setattr(2): since Linux 5.12, unless a filter around this process does not know it.
func CanSetMounts() bool {
	const noSuchFlag = 1 << 30 // which the call refuses before it looks at anything else
	err := unix.MountSetattr(-1, "", noSuchFlag, &unix.MountAttr{})
	return errors.Is(err, unix.EINVAL)
}

// MountContext is a file system being configured, fsopen(2) to fsmount(2). It needs Linux 5.2. The caller must Close it.
type MountContext struct {
	fd     int
	fstype string
}

// NewMountContext opens a configuration context for a file system type.
func NewMountContext(fstype string) (*MountContext, error) {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	return &MountContext{fd: fd, fstype: fstype}, nil
}

// Set gives one option a value. The kernel accepts at most 255 bytes.
func (m *MountContext) Set(key, value string) error {
	if err := unix.FsconfigSetString(m.fd, key, value); err != nil {
		return m.explain(fmt.Sprintf("option %s=%s", key, value), err)
	}
	return nil
}

// SetFlag turns on an option that has no value.
func (m *MountContext) SetFlag(key string) error {
	if err := unix.FsconfigSetFlag(m.fd, key); err != nil {
		return m.explain("option "+key, err)
	}
	return nil
}

// MoveTo creates the file system and mounts it on an existing directory.
func (m *MountContext) MoveTo(target string) (err error) {
	if err := unix.FsconfigCreate(m.fd); err != nil {
		return m.explain("creating the file system", err)
	}
	tree, err := unix.Fsmount(m.fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return m.explain("fsmount", err)
	}
	defer func() { err = errors.Join(err, unix.Close(tree)) }()
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return &os.PathError{Op: "move_mount " + m.fstype, Path: target, Err: err}
	}
	return nil
}

// Close releases the context; what MoveTo mounted stays.
func (m *MountContext) Close() error { return unix.Close(m.fd) }

// explain adds what the kernel logged in the context, one line a read ("e overlay: ..."), to an error number.
func (m *MountContext) explain(doing string, err error) error {
	var lines []string
	buf := make([]byte, 512)
	for {
		n, readErr := unix.Read(m.fd, buf)
		if readErr != nil || n <= 0 {
			break
		}
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(string(buf[:n]), "e ")))
	}
	if len(lines) == 0 {
		return fmt.Errorf("mount %s: %s: %w", m.fstype, doing, err)
	}
	return fmt.Errorf("mount %s: %s: %w (%s)", m.fstype, doing, err, strings.Join(lines, "; "))
}

// Unsupported reports whether a system call failed because this kernel lacks it, or lacks the option it was given.
func Unsupported(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}
