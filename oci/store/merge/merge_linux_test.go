package merge_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/oci/store/merge"
)

// insideEnv is set where the tests may mount.
const insideEnv = "CORACLE_TEST_INSIDE"

// inside goes on in namespaces in which the test may mount, where it is not in such ones: in another process, which does the whole
// test.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideEnv) != "" {
		return true
	}
	need.Overlay(t)
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$") //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// TestShowsWhatTheLayersShow merges runs of random layers, and compares what an overlay shows of all.
func TestShowsWhatTheLayersShow(t *testing.T) {
	if !inside(t) {
		return
	}
	const rounds = 200
	files, hidden := 0, 0
	for seed := range uint64(rounds) {
		random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // the same each time
		dir := t.TempDir()
		var layers []string
		for n := range 2 + random.IntN(6) {
			layer := filepath.Join(dir, "layer", fmt.Sprint(n))
			grow(t, random, layer, n)
			layers = append(layers, layer)
		}
		from := random.IntN(len(layers) - 1)
		to := from + 2 + random.IntN(len(layers)-from-1)
		merged := filepath.Join(dir, "merged")
		mkdir(t, merged)
		made, err := merge.Layers(t.Context(), layers[:from], layers[from:to], merged)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if count(t, merged) != made {
			t.Errorf("seed %d: %d entries, and it says %d", seed, count(t, merged), made)
		}
		want := show(t, layers)
		got := show(t, slices.Concat(layers[:from], []string{merged}, layers[to:]))
		files += len(want.lines)
		hidden += len(want.odd) - len(got.odd)
		for _, name := range got.odd {
			if !slices.Contains(want.odd, name) {
				t.Errorf("seed %d: the job sees the whiteout %s", seed, name)
			}
		}
		if diff := differ(want.lines, got.lines); diff != "" {
			t.Errorf("seed %d: %d layers, %d to %d merged:\n%s\n%s", seed, len(layers), from, to-1, diff, listing(t, dir))
		}
	}
	if files == 0 || hidden == 0 {
		t.Errorf("%d entries seen, %d whiteouts that hide nothing left out: nothing was tried", files, hidden)
	}
}

// grow makes a layer of random entries on a few names.
func grow(t *testing.T, random *rand.Rand, root string, layer int) {
	t.Helper()
	mkdir(t, root)
	dirs, files := []string{root}, []string(nil)
	var times []string
	for n := range 3 + random.IntN(14) {
		parent := dirs[random.IntN(len(dirs))]
		path := filepath.Join(parent, string("abcd"[random.IntN(4)]))
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		text := fmt.Sprintf("%d.%d", layer, n)
		var err error
		switch kind := random.IntN(12); {
		case kind < 5:
			mkdir(t, path)
			dirs = append(dirs, path)
			err = os.Chmod(path, []fs.FileMode{0o755, 0o700, 0o777 | fs.ModeSticky}[random.IntN(3)])
			if random.IntN(3) == 0 {
				err = errors.Join(err, unix.Lsetxattr(path, "user.test", []byte(text), 0))
			}
			if random.IntN(4) == 0 {
				err = errors.Join(err, unix.Lsetxattr(path, sys.OverlayOpaque, []byte("y"), 0))
			}
		case kind < 7:
			err = errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, []fs.FileMode{0o644, 0o755, 0}[random.IntN(3)]))
			files = append(files, path)
			if random.IntN(3) == 0 {
				err = errors.Join(err, unix.Lsetxattr(path, "user.test", []byte(text), 0))
			}
		case kind == 7 && files != nil:
			err = os.Link(files[random.IntN(len(files))], path)
		case kind == 8:
			err = os.Symlink(text, path)
		case kind == 9:
			err = unix.Mkfifo(path, 0o640)
		default:
			err = unix.Mknod(path, unix.S_IFCHR, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, path)
	}
	if random.IntN(8) == 0 {
		if err := unix.Lsetxattr(root, sys.OverlayOpaque, []byte("y"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range append(times, root) {
		at := unix.NsecToTimespec(time.Unix(int64(1e9+1000*layer+i), int64(i)).UnixNano())
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
}

// view is what an overlay shows.
type view struct {
	lines []string
	odd   []string // names that are listed and cannot be looked at
}

// show mounts layers, the lowest first, as a run does: those below one whose root is opaque are left out.
func show(t *testing.T, layers []string) (v view) {
	t.Helper()
	for n, layer := range slices.Backward(layers) {
		var value [1]byte
		if size, err := unix.Getxattr(layer, sys.OverlayOpaque, value[:]); err == nil && size == 1 && value[0] == 'y' {
			layers = layers[n:]
			break
		}
	}
	layers = slices.Clone(layers)
	slices.Reverse(layers)
	upper, work, target := t.TempDir(), t.TempDir(), t.TempDir()
	options := "userxattr,lowerdir=" + strings.Join(layers, ":") + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(work, "work"), 0o700); err != nil {
			t.Fatal(err)
		}
	}()
	links := map[uint64]string{}
	err := filepath.WalkDir(target, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(target, path)
		if err != nil || name == "." {
			return err
		}
		line, err := describe(path, name, links)
		if errors.Is(err, fs.ErrNotExist) {
			v.odd = append(v.odd, name)
			return nil
		}
		v.lines = append(v.lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// describe says all of a file but the number of its links.
func describe(path, name string, links map[uint64]string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s %o %d:%d %d.%09d", name, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	var value [64]byte
	if n, err := unix.Lgetxattr(path, "user.test", value[:]); err == nil {
		line += " test=" + string(value[:n])
	}
	if n, err := unix.Lgetxattr(path, sys.OverlayOpaque, value[:]); err == nil {
		line += " opaque=" + string(value[:n]) // a job must not see it
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		text, err := os.Readlink(path)
		return line + " -> " + text, err
	case unix.S_IFREG:
		if first, twin := links[st.Ino]; twin {
			line += " is " + first
		} else {
			links[st.Ino] = name
		}
		raw, err := os.ReadFile(path)
		return fmt.Sprintf("%s %d %q", line, st.Size, raw), err
	}
	return line, nil
}

func differ(want, got []string) string {
	var diff []string
	for _, line := range want {
		if !slices.Contains(got, line) {
			diff = append(diff, "- "+line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			diff = append(diff, "+ "+line)
		}
	}
	return strings.Join(diff, "\n")
}

// listing is what lies in a directory, for who looks for a mistake.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var value [1]byte
		mark := ""
		if n, err := unix.Lgetxattr(path, sys.OverlayOpaque, value[:]); err == nil && n == 1 {
			mark = " opaque"
		}
		lines = append(lines, fmt.Sprintf("%v %s%s", d.Type(), strings.TrimPrefix(path, dir), mark))
		return nil
	})
	return cmp.Or(strings.Join(lines, "\n"), fmt.Sprint(err))
}

func count(t *testing.T, dir string) (entries int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		entries++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries - 1
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
