package unpack

import (
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/sys"
)

// The calls that change a tree, each announced first (fsx.Step).

func symlink(target string, dir int, name string) error {
	if err := fsx.Step("symlink", name); err != nil {
		return err
	}
	return sys.SymlinkAt(target, dir, name)
}

func link(oldDir int, oldName string, dir int, name string) error {
	if err := fsx.Step("link", name); err != nil {
		return err
	}
	return sys.LinkAt(oldDir, oldName, dir, name)
}

func mkfifo(dir int, name string, mode uint32) error {
	if err := fsx.Step("mkfifo", name); err != nil {
		return err
	}
	return sys.MkfifoAt(dir, name, mode)
}

func unlink(dir int, name string) error {
	if err := fsx.Step("remove", name); err != nil {
		return err
	}
	return sys.UnlinkAt(dir, name)
}

func chmod(fd int, name string, mode uint32) error {
	if err := fsx.Step("chmod", name); err != nil {
		return err
	}
	return sys.Chmod(fd, name, mode)
}

func setXattr(fd int, name, attribute string, value []byte) error {
	if err := fsx.Step("xattr", name); err != nil {
		return err
	}
	return sys.SetXattr(fd, name, attribute, value)
}

func setTime(fd int, name string, t time.Time) error {
	if err := fsx.Step("times", name); err != nil {
		return err
	}
	return sys.SetMtime(fd, name, t)
}

func setTimeAt(dir int, name string, t time.Time) error {
	if err := fsx.Step("times", name); err != nil {
		return err
	}
	return sys.SetMtimeAt(dir, name, t)
}
