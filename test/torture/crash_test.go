package torture

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/test/fixture"
)

// fault is how a step goes wrong.
type fault struct {
	name  string
	errno syscall.Errno // 0: the process is killed
	stays bool          // later steps that need what is missing fail, too
	only  []string      // steps that it can happen to; nil for all
	like  bool          // much like the one before it: a part of the steps will do
}

var faults = []fault{
	{name: "kill"},
	{name: "ENOSPC", errno: unix.ENOSPC, only: growing},
	{name: "ENOSPC from there on", errno: unix.ENOSPC, stays: true, only: growing},
	{name: "EDQUOT from there on", errno: unix.EDQUOT, stays: true, only: growing, like: true},
	{name: "EIO", errno: unix.EIO},
	{name: "EMFILE", errno: unix.EMFILE, only: opening},
	{name: "EROFS from there on", errno: unix.EROFS, stays: true},
	{name: "failed sync", errno: unix.EIO, only: []string{"sync", "syncdir", "syncfs"}},
}

// Steps that need space, and steps that need a descriptor.
var (
	growing = []string{"create", "write", "append", "mkdir", "rename", "whiteout", "truncate", "scratch", "mark", "lock", "symlink", "link", "mkfifo", "xattr"}
	opening = []string{"create", "mkdir", "whiteout", "scratch", "lock", "syncdir", "syncfs", "remove"}
)

func (f fault) happensTo(op string) bool { return f.only == nil || slices.Contains(f.only, op) }

// orderEnv makes a process of this test the one that meets a fault: "OPERATION|FAULT|STEP|STORE|REGISTRY|ARCHIVE".
const orderEnv = "CORACLE_TEST_FAULT"

// Steps that are none: never, and what comes before the operation.
const (
	never  = -1
	before = -2
)

// How a process that obeyed an order ends. It prints how many steps there were that the fault can happen to.
const (
	undisturbed = 0  // the step was never reached
	failed      = 10 // the operation failed for the fault
	tolerated   = 11 // the fault happened, and the operation succeeded
	broken      = 12 // the operation failed, but for another reason
	misled      = 13 // the order was none
)

func obey(order string) int {
	parts := strings.Split(order, "|")
	if len(parts) != 6 {
		return misled
	}
	at, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return misled
	}
	st, err := store.Open(location.Dirs{Data: parts[3], Layers: parts[3]})
	if err != nil {
		return misled
	}
	w := world{st: st, reg: parts[4], file: parts[5]}
	if at == before {
		if err := find(parts[0]).before(w); err != nil {
			_, _ = fmt.Fprintln(os.Stdout, err)
			return broken
		}
		return undisturbed
	}
	f := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == parts[1] })]
	var n atomic.Int64
	fsx.InjectFaults(func(op, path string) error {
		if !f.happensTo(op) {
			return nil
		}
		switch now := n.Add(1); {
		case now != at && (!f.stays || now < at || at == never):
			return nil
		case f.errno == 0:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way; go no further
		}
		return &fs.PathError{Op: op, Path: path, Err: f.errno}
	})
	err = find(parts[0]).do(w)
	_, _ = fmt.Fprintf(os.Stdout, "steps: %d\n%v\n", n.Load(), err)
	switch {
	case err != nil && errors.Is(err, f.errno):
		return failed
	case err != nil:
		return broken
	case at > 0 && n.Load() >= at:
		return tolerated
	}
	return undisturbed
}

// order runs a process that does an operation and meets a fault at a step.
func (w world) order(op operation, f fault, step int) (code int, out string, err error) {
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test itself
	cmd.Env = append(os.Environ(), orderEnv+"="+strings.Join([]string{op.name, f.name, strconv.Itoa(step), w.st.Dirs().Data, w.reg, w.file}, "|"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	raw, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), string(raw), nil
	}
	return cmd.ProcessState.ExitCode(), string(raw), nil
}

// TestFaults stops every operation at its steps in every way.
func TestFaults(t *testing.T) {
	t.Parallel()
	_, every := length(t)
	reg := fixture.Serve(t)
	a, b := images()
	reg.Push("a:1", a)
	reg.Push("b:1", b)
	reg.Push("many:1", manyLayers())
	lab := &laboratory{t: t, reg: reg.Host(), dir: t.TempDir(), trees: map[digest.Digest]string{}, other: map[digest.Digest]string{}}
	lab.prepare()
	var all ends
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			here := *lab
			here.t = t
			steps, met := here.begin(op).stopEverywhere(every)
			t.Logf("%d steps, stopped %d times", steps, met.total())
			all.add(met)
		})
	}
	t.Logf("%d operations stopped %d times: %d killed, %d failed, %d went on", len(operations), all.total(), all.killed, all.refused, all.borne)
	if all.killed == 0 || all.refused == 0 {
		t.Error("nothing was tried")
	}
}

// ends counts how operations ended that met a fault.
type ends struct{ killed, refused, borne int }

func (e ends) total() int { return e.killed + e.refused + e.borne }

func (e *ends) add(other ends) {
	e.killed += other.killed
	e.refused += other.refused
	e.borne += other.borne
}

func (e *ends) note(code int) {
	switch code {
	case 128 + int(syscall.SIGKILL):
		e.killed++
	case failed:
		e.refused++
	case tolerated:
		e.borne++
	}
}

// samples is how many steps are tried with each fault when not every one is.
const samples = 3

// likeStride is how many steps there are for one that is tried with a fault much like another.
const likeStride = 4

// stopEverywhere stops the operation with every fault, at every step or at some; two at a time.
func (e *experiment) stopEverywhere(every bool) (steps int, met ends) {
	var mu sync.Mutex
	for _, f := range faults {
		n := e.count(f)
		steps = max(steps, n)
		stride := 1
		switch {
		case !every:
			stride = max(1, n/samples)
		case f.like:
			stride = likeStride
		}
		work := make(chan int)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for step := range work {
					code := e.try(f, step)
					mu.Lock()
					met.note(code)
					mu.Unlock()
				}
			})
		}
		for step := 1; step <= n; step += stride {
			work <- step
		}
		close(work)
		wg.Wait()
	}
	return steps, met
}

// laboratory is what the experiments share.
type laboratory struct {
	t     *testing.T
	reg   string
	dir   string
	file  string                   // the archive
	trees map[digest.Digest]string // what each layer must hold
	other map[digest.Digest]string // and its tree for other users, where it has one

	merged string // what the tree must hold that is merged of many layers
}

// fresh is a new, empty store.
func (l *laboratory) fresh() world {
	l.t.Helper()
	root, err := os.MkdirTemp(l.dir, "store-")
	if err != nil {
		l.t.Fatal(err)
	}
	return l.open(root)
}

func (l *laboratory) open(root string) world {
	l.t.Helper()
	st, err := store.Open(location.Dirs{Data: root, Layers: root})
	if err != nil {
		l.t.Fatal(err)
	}
	return world{st: st, reg: l.reg, file: l.file}
}

// prepare finds out what the layers hold when nothing goes wrong, and makes the archive.
func (l *laboratory) prepare() {
	l.t.Helper()
	l.file = filepath.Join(l.dir, "archive.tar")
	w := l.fresh()
	err := errors.Join(both(w), w.pull("b:1", pull.Options{KeepBlobs: true}), manyMerged(w))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := w.deltas("a:1"); err != nil {
		l.t.Fatal(err)
	}
	l.learn(w)
	if len(l.other) == 0 || l.merged == "" {
		l.t.Fatal("no layer has files of other users, or none are merged")
	}
	if err := w.save("a:1"); err != nil {
		l.t.Fatal(err)
	}
	loaded := l.fresh()
	if err := loaded.load(); err != nil {
		l.t.Fatal(err)
	}
	l.learn(loaded)
	loose := digest.FromString("loose")
	if err := errors.Join(both(loaded), loaded.litter()); err != nil {
		l.t.Fatal(err)
	}
	l.trees[loose] = tree(l.t, loaded.st.LayerDir(loose))
}

func (l *laboratory) learn(w world) {
	l.t.Helper()
	images, err := w.st.Images()
	if err != nil || len(images) == 0 {
		l.t.Fatalf("%d images, %v", len(images), err)
	}
	for _, img := range images {
		for _, d := range img.Layers() {
			l.trees[d] = tree(l.t, w.st.LayerDir(d))
		}
		if trees := w.st.Trees(img); len(trees) < len(img.Layers()) {
			l.merged = tree(l.t, trees[0])
		}
		for _, d := range img.Layers() {
			if dir, err := w.st.Delta(d, deltaMap); err == nil && dir != "" {
				l.other[d] = tree(l.t, dir)
			}
		}
	}
}

// experiment is one operation on stores that all begin alike.
type experiment struct {
	*laboratory
	op       operation
	template string
	baseline []string // what is there after the operation and a prune
}

func (l *laboratory) begin(op operation) *experiment {
	l.t.Helper()
	w := l.fresh()
	if op.before != nil {
		// By another process: what this one has made would be in use as long as it lives.
		if code, out, err := w.order(op, faults[0], before); err != nil || code != undisturbed {
			l.t.Fatalf("%s: preparing: %d, %v: %s", op.name, code, err, out)
		}
	}
	e := &experiment{laboratory: l, op: op, template: w.st.Dirs().Data}
	after := e.start()
	if code, out, err := after.order(op, faults[0], never); err != nil || code != undisturbed {
		l.t.Fatalf("%s without a fault: %d, %v: %s", op.name, code, err, out)
	}
	if err := after.prune(false); err != nil {
		l.t.Fatal(err)
	}
	e.baseline = contents(l.t, after.st.Dirs().Data)
	return e
}

// start is a store as the operation finds it.
func (e *experiment) start() world {
	e.t.Helper()
	w := e.fresh()
	// A copy keeps names, modes, dates, links, attributes and whiteouts.
	if out, err := exec.Command("cp", "-a", e.template+"/.", w.st.Dirs().Data).CombinedOutput(); err != nil {
		e.t.Fatalf("%v: %s", err, out)
	}
	return w
}

// count is how many steps of the operation a fault can happen to.
func (e *experiment) count(f fault) (steps int) {
	e.t.Helper()
	w := e.start()
	defer e.drop(w)
	code, out, err := w.order(e.op, f, never)
	if err != nil || code != undisturbed {
		e.t.Fatalf("%s without a fault: %d, %v: %s", e.op.name, code, err, out)
	}
	if _, err := fmt.Sscanf(out, "steps: %d", &steps); err != nil {
		e.t.Fatalf("%s: %v: %q", e.op.name, err, out)
	}
	return steps
}

func (e *experiment) drop(w world) {
	if err := fsx.RemoveAll(w.st.Dirs().Data); err != nil {
		e.t.Error(err)
	}
}

// try stops the operation at one step, and looks at what is left.
func (e *experiment) try(f fault, step int) (code int) {
	w := e.start()
	defer e.drop(w)
	complain := func(format string, args ...any) {
		e.t.Errorf("%s, %s at step %d: %s", e.op.name, f.name, step, fmt.Sprintf(format, args...))
	}
	code, out, err := w.order(e.op, f, step)
	if err != nil {
		complain("%v", err)
		return code
	}
	switch code {
	case undisturbed, failed, tolerated, 128 + int(syscall.SIGKILL):
	default:
		complain("ended with %d: %s", code, out)
	}
	e.sound(w, complain)
	again, out, err := w.order(e.op, faults[0], never)
	if err != nil || again != undisturbed {
		complain("done again: %d, %v: %s", again, err, out)
	}
	e.sound(w, complain)
	if err := w.prune(false); err != nil {
		complain("prune: %v", err)
	}
	if now := contents(e.t, w.st.Dirs().Data); !slices.Equal(now, e.baseline) {
		more, less := differ(now, e.baseline)
		complain("after prune there is more: %q, and less: %q", more, less)
	}
	return code
}

// sound looks for anything that is not whole.
func (e *experiment) sound(w world, complain func(format string, args ...any)) {
	blobs, err := w.st.Blobs().List()
	if err != nil {
		complain("%v", err)
	}
	for _, b := range blobs {
		raw, err := os.ReadFile(w.st.Blobs().Path(b.Digest))
		if !b.Partial && (err != nil || digest.FromBytes(raw) != b.Digest) {
			complain("blob %s: %v", b.Digest, err)
		}
	}
	if e.op.name == keeps {
		k, err := w.st.Kept(keptName)
		if err == nil {
			_, err = os.Stat(filepath.Join(k.Dir, "fs", "before"))
		}
		if err != nil {
			complain("what was kept: %v", err)
		}
	}
	layers, err := filepath.Glob(filepath.Join(w.st.Dirs().Layers, "layers/sha256/*"))
	if err != nil {
		complain("%v", err)
	}
	for _, dir := range layers {
		d := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(dir))
		if want, known := e.trees[d]; w.st.HasLayer(d) && !damagedByTest(e.op) && (!known || tree(e.t, w.st.LayerDir(d)) != want) {
			complain("layer %s is not whole", d)
		}
		if dir, err := w.st.Delta(d, deltaMap); err == nil && (dir == "" && e.other[d] != "" || dir != "" && tree(e.t, dir) != e.other[d]) {
			complain("of layer %s the tree for other users is not whole", d)
		}
	}
	for _, name := range []string{"a:1", "b:1", "c:1", "many:1"} {
		img, err := w.st.Image(w.name(name))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			complain("%s: %v", name, err)
		case len(w.st.Missing(img)) > 0 && !e.op.cleans && e.op.name != "pull again":
			complain("%s is there without its layers", name)
		}
	}
	images, err := w.st.Images()
	if err != nil {
		complain("%v", err)
	}
	for _, img := range images {
		if trees := w.st.Trees(img); len(trees) < len(img.Layers()) && tree(e.t, trees[0]) != e.merged && !damagedByTest(e.op) {
			complain("what is merged of %s is not whole", img.Ref)
		}
	}
}

// damagedByTest is for the operation that begins with layers that are not whole.
func damagedByTest(op operation) bool { return op.cleans }

// tree is a digest of all that a tree holds.
func tree(t *testing.T, root string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(h, "%q %v\n", rel, info.Mode())
		switch {
		case info.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			_, err = io.Copy(h, bytes.NewReader(raw))
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			_, _ = fmt.Fprintf(h, "%q\n", target)
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// random is the part of a temporary name that is different each time; none should be left, but if one is, it is told so.
var random = regexp.MustCompile(`[^/]*\.[0-9a-f-]{36}\.pid[^/]*`)

// contents are the paths of all that is in a store. The directories of the blobs say nothing themselves: they are made for
// the first blob that a pull does not just hold in memory, and whether there is one depends on who is faster.
func contents(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(root, path)
		if rel != "blobs" && rel != "blobs/sha256" {
			paths = append(paths, random.ReplaceAllString(rel, "TEMP"))
		}
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Error(err)
	}
	return paths
}

// differ is what one sorted list has and the other has not.
func differ(a, b []string) (more, less []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			more = append(more, x)
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			less = append(less, x)
		}
	}
	return more, less
}
