package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// delta looks at a delta, as far as it is open to the caller: much in it belongs to others. It is a copy of files of the flat
// tree, which are compared with what was unpacked; what must not be in it is looked for all the same. One that is of no use
// any more is not damaged, and goes with --repair.
func (c *checker) delta(d digest.Digest, dir string) error {
	if !c.deltaStands(d, dir) {
		if !c.options.Repair {
			return nil
		}
		return c.retire(d, dir)
	}
	const most = 3
	var problems []string
	err := filepath.WalkDir(filepath.Join(dir, treeName), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return nil // closed, or removed meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			if why := forbidden(st.Mode, st.Rdev); why != "" && len(problems) < most {
				problems = append(problems, strconv.Quote(path)+" "+why)
			}
		}
		return nil
	})
	if err != nil || problems == nil {
		return err
	}
	return c.problem("layer", d.String(), strings.Join(problems, ", "), func() error { return c.retire(d, dir) })
}

// forbidden says why no tree may have an entry of this mode.
func forbidden(mode uint32, device uint64) string {
	switch kind := mode & unix.S_IFMT; {
	case kind == unix.S_IFBLK, kind == unix.S_IFCHR && device != 0:
		return "is a device"
	case kind == unix.S_IFREG && mode&0o6000 != 0:
		return "is set-id"
	}
	return ""
}
