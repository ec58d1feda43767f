package location_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

// cannot makes a file system below root unable to do something, as NFS, Lustre, an old tmpfs or an overlay are.
func cannot(t *testing.T, root, what string, errno syscall.Errno) {
	t.Helper()
	t.Cleanup(fsx.InjectFaults(func(op, path string) error {
		if op == what && strings.HasPrefix(path, root) {
			return &fs.PathError{Op: op, Path: path, Err: errno}
		}
		return nil
	}))
}

const roomy, small = 100 << 30, 1 << 30

// host is a user's home on a network file system, and the local directories of a node.
type node struct{ base, home, shared, job, tmpdir string }

func newNode(t *testing.T, free func(dir string) int64) node {
	t.Helper()
	base := t.TempDir()
	n := node{base, filepath.Join(base, "home"), filepath.Join(base, "vartmp"), filepath.Join(base, "job"), filepath.Join(base, "tmp")}
	for _, dir := range []string{n.home, n.shared, n.job, n.tmpdir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if free == nil {
		free = func(string) int64 { return roomy }
	}
	t.Cleanup(location.Pretend(n.shared, free))
	return n
}

func (n node) locate(vars ...string) (location.Dirs, error) {
	all := map[string]string{"HOME": n.home}
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		all[name] = value
	}
	return location.Find(env(all), "")
}

func own(dir string) string { return filepath.Join(dir, "coracle-"+strconv.Itoa(os.Geteuid())) }

func TestHomeThatCannotHoldLayers(t *testing.T) {
	for what, errno := range map[string]syscall.Errno{
		"overlay whiteouts": syscall.EPERM, "user extended attributes": syscall.ENOTSUP, "hard links": syscall.EPERM,
		"symbolic links": syscall.EPERM, "renames": syscall.EIO, "renames that leave a whiteout": syscall.EINVAL,
	} {
		t.Run(what, func(t *testing.T) {
			n := newNode(t, nil)
			cannot(t, n.home, "try "+what, errno)
			dirs, err := n.locate()
			if err != nil || dirs.Layers != own(n.shared) || !strings.Contains(dirs.Note, "no "+what) || !strings.Contains(dirs.Note, own(n.shared)) {
				t.Fatalf("%+v, %v; want layers in %s, and the reason", dirs, err, own(n.shared))
			}
			if _, err := store.Open(dirs); err != nil {
				t.Fatal(err)
			}
			again, err := n.locate("SLURM_TMPDIR=" + n.job)
			if err != nil || again.Layers != dirs.Layers || again.Note != "" {
				t.Errorf("the second time: %+v, %v; want the same, and nothing said", again, err)
			}
			if left, err := os.ReadDir(n.home); err != nil || len(left) != 1 {
				t.Errorf("left at home: %v, %v", left, err)
			}
		})
	}
}

func TestWhichPlaceIsChosen(t *testing.T) {
	for _, c := range []struct {
		name string
		free map[string]int64 // of job, vartmp, tmp; 0 is roomy
		full string           // the place that nothing can be written to
		vars []string
		want string
	}{
		{"nothing but /var/tmp", nil, "", nil, "vartmp"},
		{"the scheduler's comes first", nil, "", []string{"SLURM_TMPDIR", "TMPDIR=tmp"}, "job"},
		{"of HTCondor", nil, "", []string{"_CONDOR_SCRATCH_DIR"}, "job"},
		{"the scheduler's is small", map[string]int64{"job": small}, "", []string{"SLURM_TMPDIR"}, "vartmp"},
		{"all are small", map[string]int64{"job": small, "vartmp": small, "tmp": 2 * small}, "", []string{"SLURM_TMPDIR", "TMPDIR=tmp"}, "tmp"},
		{"the first is full", nil, "job", []string{"SLURM_TMPDIR"}, "vartmp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, func(dir string) int64 {
				if free := c.free[filepath.Base(filepath.Dir(dir))]; free != 0 {
					return free
				}
				return roomy
			})
			t.Cleanup(fsx.InjectFaults(func(op, path string) error {
				switch {
				case op == "try overlay whiteouts" && strings.HasPrefix(path, n.home):
					return syscall.EPERM
				case c.full != "" && strings.HasPrefix(path, filepath.Join(n.base, c.full)):
					return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
				}
				return nil
			}))
			vars := []string{}
			for _, v := range c.vars {
				name, dir, named := strings.Cut(v, "=")
				if !named {
					dir = "job"
				}
				vars = append(vars, name+"="+filepath.Join(n.base, dir))
			}
			want := own(filepath.Join(n.base, c.want))
			for said := range 2 {
				dirs, err := n.locate(vars...)
				if err != nil || dirs.Layers != want || (dirs.Note == "") != (said == 1) {
					t.Fatalf("%+v, %v; want %s, said once", dirs, err, want)
				}
				if _, err := store.Open(dirs); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A directory that goes with its job is not what the next job on this host looks for.
func TestJobsDirectoryIsNotRemembered(t *testing.T) {
	n := newNode(t, nil)
	cannot(t, n.home, "try overlay whiteouts", syscall.EPERM)
	first, err := n.locate("SLURM_TMPDIR=" + n.job)
	if err != nil || first.Layers != own(n.job) {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := store.Open(first); err != nil {
		t.Fatal(err)
	}
	next, err := n.locate()
	if err != nil || next.Layers != own(n.shared) {
		t.Errorf("outside of the job: %+v, %v; want %s", next, err, own(n.shared))
	}
}

// What cannot be had is said in one line, with all that was tried.
func TestNoPlaceAtAll(t *testing.T) {
	n := newNode(t, nil)
	cannot(t, n.base, "try overlay whiteouts", syscall.EPERM)
	_, err := n.locate("SLURM_TMPDIR="+n.job, "TMPDIR="+filepath.Join(n.base, "nosuch"))
	if !errors.Is(err, location.ErrNoLayerRoot) {
		t.Fatalf("%v, want ErrNoLayerRoot", err)
	}
	for _, dir := range []string{n.home, own(n.job), own(n.shared), "nosuch"} {
		if !strings.Contains(fmt.Sprint(err), dir) {
			t.Errorf("%v: does not name %s", err, dir)
		}
	}
	if strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	if _, err := location.Find(env(map[string]string{"HOME": n.home, "CORACLE_ROOT": n.job}), ""); !errors.Is(err, location.ErrNoLayerRoot) {
		t.Errorf("with CORACLE_ROOT: %v, want ErrNoLayerRoot, not another place", err)
	}
}

// TestRememberedLayerRoot: only a place that could have been chosen is believed to have been, and nobody waits for what is no file.
func TestRememberedLayerRoot(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func(file, evil string) error{
		"another directory": func(file, evil string) error { return os.WriteFile(file, []byte(evil+"\n"), 0o600) },
		"a pipe":            func(file, _ string) error { return syscall.Mkfifo(file, 0o600) },
		"without an end":    func(file, _ string) error { return os.Symlink("/dev/zero", file) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			first, err := n.locate()
			if err != nil {
				t.Fatal(err)
			}
			file, evil := filepath.Join(first.Data, "layer-roots", host), filepath.Join(n.base, "evil")
			if err := errors.Join(os.Mkdir(evil, 0o700), os.Remove(file), put(file, evil)); err != nil {
				t.Fatal(err)
			}
			if again, err := n.locate(); err != nil || again.Layers != first.Layers {
				t.Errorf("%+v, %v; want %s", again, err, first.Layers)
			}
		})
	}
}

// TestLayerRootIsNotRememberedElsewhere: where a link leads from the directory of what is remembered, nothing is written.
func TestLayerRootIsNotRememberedElsewhere(t *testing.T) {
	n := newNode(t, nil)
	dirs, err := n.locate()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, memory := t.TempDir(), filepath.Join(dirs.Data, "layer-roots")
	if err := errors.Join(os.Rename(memory, filepath.Join(t.TempDir(), "away")), os.Symlink(elsewhere, memory)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.locate(); !strings.Contains(fmt.Sprint(err), "is a symbolic link") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
		t.Errorf("where the link leads: %v, %v", left, err)
	}
}
