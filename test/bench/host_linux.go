package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// unified is the cgroup v2 tree of a machine that has both versions.
	unified = "/sys/fs/cgroup/unified"
	// dirEnv tells the measuring process, an ordinary user's, where to work.
	dirEnv = "CORACLE_TEST_BENCH_DIR"
	// diskSize is that of the file system made for the benchmark; its file is sparse.
	diskSize = 24 << 30
)

// prepareImages makes the images that the command line wants, as far as root has to: the cache is root's. Why one could not
// be made is said later, beside the images that are measured.
func prepareImages(args []string, log io.Writer) {
	verb, o, err := parse(args, io.Discard)
	if os.Geteuid() != 0 || err != nil || verb == "start" || o.image != "" {
		return
	}
	sets, err := o.sets()
	if err != nil {
		return
	}
	for _, set := range sets {
		if _, err := set.Ensure(context.Background(), log); err != nil {
			_, _ = fmt.Fprintln(log, "bench:", err)
		}
	}
}

// prepareHost does what only root can to make a comparison possible and fair, in a mount namespace that only processes
// started by this goroutine are in. What fails is said and left out.
func prepareHost(log io.Writer) (undo func()) {
	undo = func() {}
	if os.Geteuid() != 0 {
		return undo
	}
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err != nil {
		_, _ = fmt.Fprintln(log, "bench: making a mount namespace:", err)
		return undo
	}
	if err := hideHybrid(); err != nil {
		_, _ = fmt.Fprintln(log, "bench:", err)
	}
	undo, err = mountDisk()
	if err != nil {
		_, _ = fmt.Fprintln(log, "bench: going on without a file system of its own:", err)
	}
	return undo
}

// hideHybrid takes the v2 tree of such a machine away: crun, and so podman, refuses to start where it sees both versions.
func hideHybrid() error {
	if !hybrid() {
		return nil
	}
	if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("hiding %s: %w", unified, err)
	}
	return nil
}

func hybrid() bool {
	var fs unix.Statfs_t
	return unix.Statfs(unified, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// mountDisk mounts a fresh ext4 and names it in dirEnv. On the machine's own, what was deleted shortly before counts: an
// ext4 without a journal, as virtual machines have it, passes over every inode that was freed in the last minutes
// (recently_deleted in fs/ext4/ialloc.c), which made creating a file twenty times as slow in the second round.
func mountDisk() (undo func(), err error) {
	dir, err := os.MkdirTemp("/var/tmp", "coracle-bench-")
	if err != nil {
		return func() {}, err
	}
	image, mounted := filepath.Join(dir, "disk"), filepath.Join(dir, "d")
	undo = func() {
		// A contender's last process may still be on its way out.
		for try := 0; try < 20 && unix.Unmount(mounted, 0) == unix.EBUSY; try++ {
			time.Sleep(100 * time.Millisecond)
		}
		_ = os.Remove(image)
		_ = os.Remove(mounted)
		_ = os.Remove(dir)
	}
	for _, argv := range [][]string{
		{"chmod", "0755", dir},
		{"mkdir", mounted},
		{"truncate", "--size", fmt.Sprint(diskSize), image},
		{"mkfs.ext4", "-q", "-E", "nodiscard", image},
		{"mount", "-o", "loop", image, mounted},
		{"chmod", "1777", mounted},
	} {
		if err := quietly(exec.Command(argv[0], argv[1:]...)); err != nil {
			undo()
			return func() {}, err
		}
	}
	return undo, os.Setenv(dirEnv, mounted)
}
