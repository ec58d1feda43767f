// A job that may mount and tries to change what the caller has mounted for it. It prints a line for each trick that works on one of the
// places that are its arguments, and in the end how many it has tried.
//
//	mounter PLACE... [-- COVER...]     every trick, by itself and from within namespaces of its own; on a cover those that would
//	                                   show what is under it, for anybody may write to some
//	mounter -trick NAME PLACE          one
//	mounter -fuse DIR                  mounts a file system of its own by /dev/fuse, and nothing else
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// around are the namespaces from which a trick is tried.
var around = []struct {
	name  string
	flags uintptr
}{
	{"the job's namespaces", 0},
	{"a mount namespace", unix.CLONE_NEWNS},
	{"a user and a mount namespace", unix.CLONE_NEWUSER | unix.CLONE_NEWNS},
	{"a user, a pid and a mount namespace", unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS},
	{"a pid, a network and a mount namespace", unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS},
	{"a cgroup and a mount namespace", unix.CLONE_NEWCGROUP | unix.CLONE_NEWNS},
	{"a user, a cgroup and a mount namespace", unix.CLONE_NEWUSER | unix.CLONE_NEWCGROUP | unix.CLONE_NEWNS},
}

func main() {
	runtime.LockOSThread() // namespaces and directories are a thread's
	if len(os.Args) == 4 && os.Args[1] == "-trick" {
		os.Exit(try(os.Args[2], os.Args[3]))
	}
	if len(os.Args) == 3 && os.Args[1] == "-fuse" {
		if err := fuse(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	tried, wanted := 0, kind(0)
	for i, place := range os.Args[1:] {
		if place == "--" {
			wanted = uncovers
			continue
		}
		for _, t := range tricks {
			for _, n := range around {
				if n.flags == 0 && t.kind&apart != 0 || t.kind&wanted != wanted || t.kind&once != 0 && i > 0 {
					continue
				}
				tried++
				if err := start(t.name, place, n.flags); err == nil {
					fmt.Printf("worked: %s on %s, from %s\n", t.name, place, n.name)
				}
			}
		}
	}
	fmt.Printf("tried %d\n", tried)
}

// start has a process of its own try a trick; nil: it worked.
func start(trick, place string, namespaces uintptr) error {
	cmd := exec.Command("/proc/self/exe", "-trick", trick, place)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if namespaces&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if text := said.String(); strings.Contains(text, "panic") {
		fmt.Print(text)
	}
	return err
}

// try tries a trick in this process: the exit status is 0 if it worked.
func try(name, place string) int {
	dir, err := os.MkdirTemp("", "trick-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "panic:", err)
		return 1
	}
	i := slices.IndexFunc(tricks, func(t trick) bool { return t.name == name })
	err = tricks[i].do(place, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// change changes something at a path: it makes a file in a directory, or opens a file to write.
func change(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	flags := os.O_WRONLY
	if info.IsDir() {
		path, flags = filepath.Join(path, "planted"), os.O_WRONLY|os.O_CREATE
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return err
	}
	return file.Close()
}

// beside is an empty file or directory in dir, of the kind of the place, to mount it on.
func beside(place, dir string) (string, error) {
	info, err := os.Stat(place)
	if err != nil {
		return "", err
	}
	at := filepath.Join(dir, "at")
	if info.IsDir() {
		return at, os.Mkdir(at, 0o700)
	}
	return at, os.WriteFile(at, nil, 0o600)
}

// all does one thing after the other until one fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func mounted(source, target, kind string, flags uintptr, data string) func() error {
	return func() error { return unix.Mount(source, target, kind, flags, data) }
}

func unmounted(target string, flags int) func() error {
	return func() error { return unix.Unmount(target, flags) }
}

func changed(path string) func() error { return func() error { return change(path) } }

// fuse mounts a file system that nobody serves (mount.fuse(8)).
func fuse(dir string) error {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	return all(mounted("mounter", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options), unmounted(dir, unix.MNT_DETACH))
}
