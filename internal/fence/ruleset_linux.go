//go:build cgo

package fence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leastABI is the first that knows links and renames between directories; the one before refuses them all.
const leastABI = 2

// ABI is the version of Landlock that this kernel offers; 0 is none. This process is confined by 2 and later ones (Linux 5.19).
var ABI = sync.OnceValue(func() int {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(abi)
})

// Possible reports whether a process can be confined here, as far as the kernel's answer goes.
func Possible() bool { return ABI() >= leastABI }

// changes are the rights to change files and names, by the version that brought them.
var changes = []struct {
	abi    int
	rights uint64
}{
	{1, unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM},
	{2, unix.LANDLOCK_ACCESS_FS_REFER},
	{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
	{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
}

const (
	// never is what nobody who fetches an image does, not even below the directories: to make sockets or block devices, to
	// speak to devices. Whiteouts are character devices.
	never = unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// ofFile are the rights that a rule for a file may give.
	ofFile = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
)

// newRuleset is a ruleset by which only what is below the directories can be changed, and /dev/null, which whoever starts a
// process without streams opens.
func newRuleset(dirs []string) (_ *os.File, err error) {
	attr := unix.LandlockRulesetAttr{}
	for _, c := range changes {
		if ABI() >= c.abi {
			attr.Handled_access_fs |= c.rights
		}
	}
	const size = 8 // of a ruleset for files alone, in each version
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("landlock_create_ruleset", errno)
	}
	ruleset := os.NewFile(fd, "landlock")
	defer func() {
		if err != nil {
			err = errors.Join(err, ruleset.Close())
		}
	}()
	for _, dir := range dirs {
		if err := allowBelow(ruleset, dir, attr.Handled_access_fs&^never); err != nil {
			return nil, err
		}
	}
	return ruleset, allow(ruleset, os.DevNull, attr.Handled_access_fs&ofFile)
}

// allowBelow allows a directory, and those that links in it lead to: a user may have moved a part of it to another disk.
func allowBelow(ruleset *os.File, dir string, rights uint64) error {
	if err := allow(ruleset, dir, rights); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.Type()&os.ModeSymlink == 0 {
			continue
		}
		if st, err := os.Stat(path); err != nil || !st.IsDir() {
			continue // whoever needs it will say so
		}
		if err := allow(ruleset, path, rights); err != nil {
			return err
		}
	}
	return nil
}

// allow adds a rule for a file or for a directory and what is below it.
func allow(ruleset *os.File, path string, rights uint64) (err error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, ruleset.Fd(), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("%s: %w", path, os.NewSyscallError("landlock_add_rule", errno))
	}
	return nil
}
