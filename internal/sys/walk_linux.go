package sys

import (
	"errors"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// noOpenat2 is set when openat2(2) has shown to be missing: before Linux 5.6, and where a filter around this process, such as an
// older container runtime's, does not know it.
var noOpenat2 atomic.Bool

// lacksOpenat2 reports whether an error of openat2 means that there is no such call. A filter may say EPERM, as may the call
// itself: then it is asked for what it never refuses.
func lacksOpenat2(err error) bool {
	if errors.Is(err, unix.EPERM) {
		fd, probeErr := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
		if probeErr == nil {
			_ = unix.Close(fd) // was opened to ask
			return false
		}
		err = probeErr
		if errors.Is(err, unix.EPERM) {
			err = unix.ENOSYS
		}
	}
	if errors.Is(err, unix.ENOSYS) {
		noOpenat2.Store(true)
		return true
	}
	return false
}

// maxLinks is how many symbolic links one path may lead through, as the kernel's MAXSYMLINKS.
const maxLinks = 40

// walker does what openat2 does, one component at a time. Each is opened by its name in the directory that is held, and a link is
// never followed by the kernel, so that whatever is renamed meanwhile the walk does not leave its root: ".." is the directory
// that was held before.
type walker struct {
	how   *unix.OpenHow
	root  int   // the caller's
	held  []int // from root on
	mount uint64
	links int
}

// walkat2 is openat2 for RESOLVE_BENEATH and RESOLVE_IN_ROOT.
func walkat2(dir int, path string, how *unix.OpenHow) (fd int, err error) {
	w := &walker{how: how, root: dir}
	defer func() {
		for _, fd := range w.held {
			err = errors.Join(err, Close(fd))
		}
	}()
	if path == "" {
		return -1, unix.ENOENT
	}
	if w.mount, err = mountOf(dir); err != nil {
		return -1, err
	}
	if fd, err = w.walk(path); err != nil {
		return -1, err
	}
	if w.is(unix.RESOLVE_NO_XDEV) {
		if err := w.sameMount(fd); err != nil {
			return -1, errors.Join(err, Close(fd))
		}
	}
	return fd, nil
}

func (w *walker) is(resolve uint64) bool { return w.how.Resolve&resolve != 0 }

func (w *walker) here() int {
	if len(w.held) == 0 {
		return w.root
	}
	return w.held[len(w.held)-1]
}

// walk follows a path to its last component and opens that.
func (w *walker) walk(path string) (int, error) {
	ahead, directory := strings.Split(path, "/"), strings.HasSuffix(path, "/")
	for first := true; ; first = false {
		name := ahead[0]
		ahead = ahead[1:]
		if first && name == "" && strings.HasPrefix(path, "/") {
			if err := w.toRoot(); err != nil {
				return -1, err
			}
		}
		last := strings.Trim(strings.Join(ahead, ""), "/") == ""
		switch name {
		case "..":
			if err := w.up(); err != nil {
				return -1, err
			}
			name = "."
		case "":
			name = "."
		}
		target, err := w.link(name, last && !directory)
		if err != nil {
			return -1, err
		}
		if target != "" {
			if ahead, err = w.follow(target, ahead); err != nil {
				return -1, err
			}
			continue
		}
		if last {
			return w.open(name, directory)
		}
		if err := w.enter(name); err != nil {
			return -1, err
		}
	}
}

// toRoot is what an absolute path means.
func (w *walker) toRoot() error {
	if w.is(unix.RESOLVE_BENEATH) {
		return unix.EXDEV
	}
	var errs []error
	for _, fd := range w.held {
		errs = append(errs, Close(fd))
	}
	w.held = nil
	return errors.Join(errs...)
}

// up goes to the directory above, which the root has only as far as that is itself.
func (w *walker) up() error {
	if len(w.held) == 0 {
		if w.is(unix.RESOLVE_BENEATH) {
			return unix.EXDEV
		}
		return nil
	}
	top := w.here()
	w.held = w.held[:len(w.held)-1]
	return Close(top)
}

// link is the text of a symbolic link that is to be followed, or "".
func (w *walker) link(name string, last bool) (string, error) {
	if name == "." || last && w.how.Flags&unix.O_NOFOLLOW != 0 {
		return "", nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(w.here(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) && last {
		return "", nil // open says so, or makes it
	}
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", err
	}
	if w.links++; w.links > maxLinks || w.is(unix.RESOLVE_NO_SYMLINKS) {
		return "", unix.ELOOP
	}
	return ReadlinkAt(w.here(), name)
}

// follow puts a link's text before what is ahead.
func (w *walker) follow(target string, ahead []string) ([]string, error) {
	if strings.HasPrefix(target, "/") {
		if err := w.toRoot(); err != nil {
			return nil, err
		}
	}
	return append(strings.Split(strings.TrimLeft(target, "/"), "/"), ahead...), nil
}

// enter goes to a directory.
func (w *walker) enter(name string) error {
	if name == "." {
		return nil
	}
	fd, err := unix.Openat(w.here(), name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	w.held = append(w.held, fd)
	if w.is(unix.RESOLVE_NO_XDEV) {
		return w.sameMount(fd)
	}
	return nil
}

// open opens the last component as it was asked for.
func (w *walker) open(name string, directory bool) (int, error) {
	flags := int(w.how.Flags) | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if directory {
		flags |= unix.O_DIRECTORY
	}
	return unix.Openat(w.here(), name, flags, uint32(w.how.Mode))
}

// sameMount refuses what is mounted below the root.
func (w *walker) sameMount(fd int) error {
	mount, err := mountOf(fd)
	if err == nil && mount != w.mount {
		return unix.EXDEV
	}
	return err
}

// mountOf tells mounts apart: by their ids (Linux 5.8), before that by their devices.
func mountOf(fd int) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, err
	}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		return st.Mnt_id, nil
	}
	return unix.Mkdev(st.Dev_major, st.Dev_minor), nil
}
