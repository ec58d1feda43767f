package merge

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// isWhiteout recognises what hides a name of the trees below.
func isWhiteout(st unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// isOpaque reports whether an open directory hides what trees below have in it.
func isOpaque(fd int, path string) (bool, error) {
	value, err := sys.Xattr(fd, path, sys.OverlayOpaque, 1)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ERANGE) {
		return false, nil
	}
	return string(value) == "y", err
}

// copyXattrs copies the attributes that a layer's directory may have. What overlayfs goes by is not copied.
func copyXattrs(from, to int, path string) error {
	const users, overlay, longest = "user.", "user.overlay.", 64 << 10 // XATTR_SIZE_MAX
	list, err := sys.Xattrs(from, path)
	if errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range list {
		if !strings.HasPrefix(name, users) || strings.HasPrefix(name, overlay) {
			continue
		}
		value, err := sys.Xattr(from, path, name, longest)
		if err == nil {
			err = setXattr(to, path, name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mtime(st unix.Stat_t) time.Time { return time.Unix(st.Mtim.Unix()) }
