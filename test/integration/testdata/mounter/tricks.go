package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// trick returns nil when it has worked: something was changed, or laid bare. dir is empty, and its own.
type trick struct {
	name string
	kind kind
	do   func(place, dir string) error
}

type kind int

const (
	apart    kind = 1 << iota // it would spoil the namespaces of the job for those after it
	uncovers                  // what lies under the place comes to light, if it works
	once                      // it is about all places
)

const (
	rebind  = unix.MS_BIND | unix.MS_REMOUNT
	beneath = 0x200 // MOVE_MOUNT_BENEATH, Linux 6.5
	reuse   = unix.CLONE_NEWNS | unix.CLONE_NEWUSER
)

var tricks = []trick{
	{"write", 0, func(p, _ string) error { return change(p) }},
	{"remount the bind", 0, func(p, _ string) error { return all(mounted("", p, "", rebind, ""), changed(p)) }},
	{"remount the file system", 0, func(p, _ string) error { return all(mounted("", p, "", unix.MS_REMOUNT, ""), changed(p)) }},
	{"allow set-user-ID and devices", 0, func(p, _ string) error { return unix.Mount("", p, "", rebind|unix.MS_RDONLY, "") }},
	{"unmount", apart | uncovers, func(p, _ string) error { return unix.Unmount(p, 0) }},
	{"unmount lazily", apart | uncovers, func(p, _ string) error { return unix.Unmount(p, unix.MNT_DETACH) }},
	{"unmount what expires", apart | uncovers, func(p, _ string) error {
		_ = unix.Unmount(p, unix.MNT_EXPIRE) // the first time marks it
		return unix.Unmount(p, unix.MNT_EXPIRE)
	}},
	{"bind elsewhere, remount", 0, again(unix.MS_BIND, rebind)},
	{"bind all elsewhere, remount", 0, again(unix.MS_BIND|unix.MS_REC, rebind)},
	{"move", apart | uncovers, elsewhere(func(p, at string) error { return unix.Mount(p, at, "", unix.MS_MOVE, "") })},
	{"bind what is around it", uncovers, func(p, dir string) error { return unix.Mount(filepath.Dir(p), dir, "", unix.MS_BIND, "") }},
	{"bind the root", uncovers | once, func(_, dir string) error { return unix.Mount("/", dir, "", unix.MS_BIND, "") }},
	{"bind all, remount there", apart, func(p, dir string) error {
		return all(mounted("/", dir, "", unix.MS_BIND|unix.MS_REC, ""), mounted("", dir+p, "", rebind, ""), changed(dir+p))
	}},
	{"bind all, unmount there", apart | uncovers, func(p, dir string) error {
		return all(mounted("/", dir, "", unix.MS_BIND|unix.MS_REC, ""), unmounted(dir+p, unix.MNT_DETACH))
	}},
	{"detached copy, by descriptor", 0, detached(unix.AT_EMPTY_PATH)},
	{"detached copy of all, by descriptor", 0, detached(unix.AT_EMPTY_PATH | unix.AT_RECURSIVE)},
	{"detached copy of the root", uncovers | once, func(_, _ string) error {
		_, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
		return err
	}},
	{"set attributes", 0, func(p, _ string) error { return all(writable(unix.AT_FDCWD, p, 0), changed(p)) }},
	{"set attributes of all", 0, func(p, _ string) error { return all(writable(unix.AT_FDCWD, p, unix.AT_RECURSIVE), changed(p)) }},
	{"allow set-user-ID by attributes", 0, func(p, _ string) error {
		return unix.MountSetattr(unix.AT_FDCWD, p, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NOSUID})
	}},
	{"move by descriptor", apart | uncovers, elsewhere(func(p, at string) error {
		return unix.MoveMount(unix.AT_FDCWD, p, unix.AT_FDCWD, at, 0)
	})},
	{"slip something beneath, unmount", apart | uncovers, slipBeneath},
	{"reconfigure", 0, reconfigure},
	{"pivot, remount", apart, pivoted(func(old string) error { return all(mounted("", old, "", rebind, ""), changed(old)) })},
	{"pivot, unmount", apart | uncovers, pivoted(func(old string) error { return unix.Unmount(old, unix.MNT_DETACH) })},
	{"pivot, bind what is beneath", apart, pivoted(func(old string) error {
		return all(mounted(filepath.Dir(old), "/at", "", unix.MS_BIND, ""), changed("/at/"+filepath.Base(old)))
	})},
	{"share, unmount in another namespace", apart | uncovers, func(p, _ string) error {
		return all(mounted("", "/", "", unix.MS_SHARED|unix.MS_REC, ""), func() error { return unix.Unshare(unix.CLONE_NEWNS) },
			unmounted(p, unix.MNT_DETACH))
	}},
	{"overlay with it as upper", 0, func(p, dir string) error {
		merged := filepath.Join(dir, "merged")
		lower := filepath.Join(dir, "lower")
		return all(func() error { return os.Mkdir(merged, 0o700) }, func() error { return os.Mkdir(lower, 0o700) },
			mounted("overlay", merged, "overlay", 0, fmt.Sprintf("userxattr,lowerdir=%s,upperdir=%s,workdir=%s", lower, p, p)), changed(merged))
	}},
	{"rename the place", apart | uncovers, func(p, dir string) error { return os.Rename(p, filepath.Join(dir, "renamed")) }},
	{"the first process's root", 0, func(p, _ string) error { return change("/proc/1/root" + p) }},
	{"the first process's mounts", 0, func(p, _ string) error {
		fd, err := unix.Open("/proc/1/ns/mnt", unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return all(func() error { return unix.Unshare(unix.CLONE_FS) }, func() error { return unix.Setns(fd, unix.CLONE_NEWNS) },
			mounted("", p, "", rebind, ""), changed(p))
	}},
	{"the first process, by its descriptor", 0, func(p, _ string) error {
		fd, err := unix.PidfdOpen(1, 0)
		if err != nil {
			return err
		}
		return all(func() error { return unix.Unshare(unix.CLONE_FS) }, func() error { return unix.Setns(fd, reuse) },
			mounted("", p, "", rebind, ""), changed(p))
	}},
	{"another /proc", uncovers | once, func(_, dir string) error { return unix.Mount("proc", dir, "proc", 0, "") }},
	{"another /sys", uncovers | once, func(_, dir string) error { return unix.Mount("sysfs", dir, "sysfs", 0, "") }},
	{"other control groups", uncovers | once, func(_, dir string) error { return unix.Mount("cgroup2", dir, "cgroup2", 0, "") }},
	{"other control groups of version 1", uncovers | once, func(_, dir string) error { return unix.Mount("cgroup", dir, "cgroup", 0, "none,name=systemd") }},
}

// again mounts the place a second time and remounts that.
func again(first, second uintptr) func(place, dir string) error {
	return elsewhere(func(p, at string) error {
		return all(mounted(p, at, "", first, ""), mounted("", at, "", second, ""), changed(at))
	})
}

// elsewhere gives a trick something to mount on.
func elsewhere(do func(place, at string) error) func(place, dir string) error {
	return func(place, dir string) error {
		at, err := beside(place, dir)
		if err != nil {
			return err
		}
		return do(place, at)
	}
}

// writable takes off the flags of a mount.
func writable(fd int, path string, flags uint) func() error {
	return func() error {
		return unix.MountSetattr(fd, path, flags, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}
}

// detached copies the place's mount without mounting it anywhere, and mounts what it has made of the copy.
func detached(flags uint) func(place, dir string) error {
	return elsewhere(func(place, at string) error {
		fd, err := unix.OpenTree(unix.AT_FDCWD, place, unix.OPEN_TREE_CLONE|flags&unix.AT_RECURSIVE)
		if err != nil {
			return err
		}
		return all(writable(fd, "", flags), changed(fmt.Sprintf("/proc/self/fd/%d", fd)),
			func() error { return unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH) }, changed(at))
	})
}

// slipBeneath mounts memory beneath the place's mount and takes that off.
func slipBeneath(place, _ string) error {
	fs, err := unix.Fsopen("tmpfs", 0)
	if err != nil {
		return err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	fd, err := unix.Fsmount(fs, 0, 0)
	if err != nil {
		return err
	}
	return all(func() error {
		return unix.MoveMount(fd, "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH|beneath)
	}, unmounted(place, unix.MNT_DETACH))
}

// reconfigure changes the file system's own flag (fspick(2)).
func reconfigure(place, _ string) error {
	fd, err := unix.Fspick(unix.AT_FDCWD, place, 0)
	if err != nil {
		return err
	}
	return all(func() error { return unix.FsconfigSetFlag(fd, "rw") }, func() error { return unix.FsconfigReconfigure(fd) }, changed(place))
}

// pivoted gives the process another root, in memory, and tries something on the place where the old one is then.
func pivoted(do func(old string) error) func(place, dir string) error {
	return func(place, dir string) error {
		old := filepath.Join(dir, "old")
		return all(mounted("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""), mounted("none", dir, "tmpfs", 0, ""),
			func() error { return os.Mkdir(old, 0o700) }, func() error { return os.Mkdir(filepath.Join(dir, "at"), 0o700) },
			func() error { return unix.PivotRoot(dir, old) }, func() error { return unix.Chdir("/") },
			func() error { return do("/old" + place) })
	}
}
