package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ownedBy fails unless an open file and its directory are an owner's, and nobody else may write to them.
func ownedBy(f *os.File, path string, owner uint32) error {
	st, err := f.Stat()
	if err != nil {
		return cause(err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("it is no file (%v)", st.Mode())
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return cause(err)
	}
	for _, one := range []struct {
		what string
		info os.FileInfo
	}{{"it", st}, {"its directory", dir}} {
		uid := uint32(0)
		if sys, ok := one.info.Sys().(*syscall.Stat_t); ok {
			uid = sys.Uid
		}
		switch {
		case uid != owner && (owner != 0 || !isHidden(uid)):
			return fmt.Errorf("%w: %s belongs to user %d", ErrOwner, one.what, uid)
		case one.info.Mode().Perm()&0o022 != 0:
			return fmt.Errorf("%w: others may write to %s (%v)", ErrOwner, one.what, one.info.Mode().Perm())
		}
	}
	return nil
}

// isHidden reports whether a user is shown for one that this user namespace does not have, as the host's root is inside of many:
// user_namespaces(7), "Unmapped user and group IDs". Nobody inside can make files of that owner.
func isHidden(uid uint32) bool {
	raw, err := os.ReadFile("/proc/sys/fs/overflowuid")
	if err != nil || strings.TrimSpace(string(raw)) != strconv.FormatUint(uint64(uid), 10) {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(ids))
	whole := len(fields) == 3 && fields[0] == "0" && fields[1] == "0" && fields[2] == "4294967295"
	return !whole
}
