package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// Runs is the directory that holds all records.
type Runs struct {
	dir string
}

// Open returns the records under a data directory. It need not exist yet; Create makes it.
func Open(dataDir string) *Runs { return &Runs{dir: filepath.Join(dataDir, "runs")} }

// IDs returns the ids of all records, newest first, without reading them.
func (r *Runs) IDs() (ids []string, err error) {
	dir, err := os.Open(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	names, err := dir.Readdirnames(-1) // which asks no more of each than there is in the directory: there may be thousands
	if err != nil {
		return nil, fmt.Errorf("listing the runs: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !validID(name) })
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	return names, nil
}

// All reads the records one after another, newest first, as the loop asks for them. A damaged record comes as a view that
// says so; a directory that holds none is left out. A record whose supervisor died without a result is closed as lost.
func (r *Runs) All() iter.Seq2[View, error] {
	return func(yield func(View, error) bool) {
		ids, err := r.IDs()
		if err != nil {
			yield(View{}, err)
			return
		}
		for v := range r.each(ids) {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// each reads records one after another, as the loop asks for them.
func (r *Runs) each(ids []string) iter.Seq[View] {
	return func(yield func(View) bool) {
		for size := least; len(ids) > 0; size = min(2*size, greatest) {
			some := ids[:min(size, len(ids))]
			for _, v := range r.readSome(some) {
				if v.ID != "" && !yield(v) {
					return
				}
			}
			ids = ids[len(some):]
		}
	}
}

// Records are read ahead, some at a time: who wants the newest few is not to wait for more.
const (
	least    = 8
	greatest = 256
	readers  = 8 // at a time; on a network file system most of the time is spent waiting
)

// readSome reads records beside each other. In place of what is no record there is a view without an id.
func (r *Runs) readSome(ids []string) []View {
	views := make([]View, len(ids))
	beside(len(ids), func(i int) { views[i], _ = r.tolerate(ids[i]) })
	return views
}

// beside does something n times, some beside each other, and some at a time: often it is little.
func beside(n int, do func(i int)) {
	size := int64(max(1, min(n/(4*readers), greatest)))
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(readers, n) {
		wg.Go(func() {
			for end := next.Add(size); end-size < int64(n); end = next.Add(size) {
				for i := end - size; i < min(end, int64(n)); i++ {
					do(int(i))
				}
			}
		})
	}
	wg.Wait()
}

// tolerate reads a record for a list: in place of what is no record there is a view without an id, and a damaged one says so. settled:
// it has its result on disk.
func (r *Runs) tolerate(id string) (v View, settled bool) {
	v, settled, err := r.readRecord(id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return View{}, false
	case err != nil:
		return damaged(id, v.Dir, err), false
	}
	return v, settled
}

// List reads the newest records, at most limit of them, or all when limit is 0 or less.
func (r *Runs) List(limit int) ([]View, error) {
	var views []View
	for v, err := range r.All() {
		if err != nil {
			return nil, err
		}
		if views = append(views, v); len(views) == limit {
			break
		}
	}
	return views, nil
}

// Get finds one record: "last" is the newest; then come an id, the beginning of an id (in either case), and a name, of
// which the newest run bears it. The errors are ErrNotFound, ErrDamaged and, for the beginning of several ids,
// *AmbiguousError.
func (r *Runs) Get(asked string) (View, error) {
	v, err := r.get(asked)
	if err != nil {
		return View{}, fmt.Errorf("run %q: %w", asked, err)
	}
	if v, err = withFingerprints(v); err != nil {
		return View{}, fmt.Errorf("run %q: %w", asked, err)
	}
	return v, nil
}

func (r *Runs) get(asked string) (View, error) {
	if asked == "last" {
		return r.newest()
	}
	prefix := strings.ToUpper(asked)
	if validID(prefix) {
		if v, err := r.read(prefix); !errors.Is(err, fs.ErrNotExist) {
			return v, err
		}
	}
	ids, err := r.IDs()
	if err != nil {
		return View{}, err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return asked == "" || !strings.HasPrefix(id, prefix) })
	switch len(ids) {
	case 0:
		if asked == "" {
			return View{}, ErrNotFound
		}
		return r.named(asked)
	case 1:
		v, err := r.read(ids[0])
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrNotFound
		}
		return v, err
	default:
		if v, err := r.named(asked); err == nil {
			return v, nil
		}
		return View{}, &AmbiguousError{Asked: asked, IDs: ids}
	}
}

// newest is the newest record.
func (r *Runs) newest() (View, error) {
	for v, err := range r.All() {
		if err != nil {
			return View{}, err
		}
		if v.State == Damaged {
			return r.read(v.ID) // for the reason
		}
		return v, nil
	}
	return View{}, ErrNotFound
}

// read reads one record, and closes it as lost when its supervisor died without a result; fs.ErrNotExist means that it has
// no run.json.
func (r *Runs) read(id string) (View, error) {
	v, _, err := r.readRecord(id)
	return v, err
}

// readRecord is read; settled: it had its result before.
func (r *Runs) readRecord(id string) (v View, settled bool, err error) {
	dir := filepath.Join(r.dir, id)
	var run Run
	if err := readJSON(filepath.Join(dir, "run.json"), &run, &run.Schema); err != nil {
		if errors.Is(err, syscall.ENOTDIR) {
			err = fs.ErrNotExist // a file with a name like an id
		}
		return View{Dir: dir}, false, err
	}
	run.ID = id // the directory's name decides
	result, err := readResult(dir)
	settled = result != nil
	if err == nil && result == nil && run.Supervisor.Dead() {
		result, err = end(dir, run)
	}
	if err != nil {
		return View{Run: run, Dir: dir}, false, err
	}
	v = view(run, result, dir)
	v.Notes = readNotes(dir)
	return v, settled, nil
}

// end is the result of a run whose supervisor is dead and had none when it was last looked for: the one it left since, or
// another reader wrote, else that of a lost run. What cannot be written is told all the same; the next reader tries again.
func end(dir string, run Run) (*Result, error) {
	_ = MarkLost(dir) // ErrFinished: there is a result; else the disk is full, or not ours
	result, err := readResult(dir)
	if err != nil || result != nil {
		return result, err
	}
	ended := lost(dir, run)
	return &ended, nil
}

// readResult returns nil when there is no result.
func readResult(dir string) (*Result, error) {
	var result Result
	err := readJSON(resultPath(dir), &result, &result.Schema)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errEmpty):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &result, nil
}

// errEmpty is a file without anything in it, which is damaged as well.
var errEmpty = fmt.Errorf("%w: it is empty", ErrDamaged)

// hasResult tells a result from the empty file that a power cut makes of one which had not reached the disk. A network file system may
// remember for half a minute that there was no such name; it asks the server when a directory is opened (nfs(5), close-to-open).
func hasResult(dir string) bool {
	there := func() bool {
		info, err := os.Stat(resultPath(dir))
		return err == nil && info.Size() > 0
	}
	if there() {
		return true
	}
	if d, err := os.Open(dir); err == nil {
		_ = d.Close() // was opened for that alone
	}
	return there()
}

// mostOfFile is how long a file may be that is read into memory, far more than any that Coracle writes: a job that has the store among its
// volumes may have put something else there, with a name that leads elsewhere, or without an end.
const mostOfFile = 64 << 20

// readJSON reads a file of the record into v, of which schema is a part. Content that does not fit is ErrDamaged, as is a
// schema that is not ours.
func readJSON(path string, v any, schema *int) error {
	data, err := fsx.ReadRegular(path, mostOfFile)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return fmt.Errorf("reading %s: %w", path, errEmpty)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w: %w", path, ErrDamaged, err)
	}
	if *schema != Schema {
		return fmt.Errorf("reading %s: %w: it has schema %d, this Coracle reads %d", path, ErrDamaged, *schema, Schema)
	}
	return nil
}

// damaged is what can be said of a record that cannot be read.
func damaged(id, dir string, err error) View {
	v := View{State: Damaged, Dir: dir, Message: err.Error()}
	v.ID, v.Created = id, idTime(id)
	return v
}

// MarkLost closes the record in dir, whose supervisor is provably dead and left no result. ErrFinished says that there is a result, and
// ErrRunning that the record's supervisor is not provably dead: dir may come from a lease (store.Reclaim), which others than that
// supervisor can have written. Then the record is left as it is. Several processes may close one record at a time: all of them write
// the same.
func MarkLost(dir string) error {
	if hasResult(dir) {
		return fmt.Errorf("closing the record %s as lost: %w", dir, ErrFinished)
	}
	var run Run
	if err := readJSON(filepath.Join(dir, "run.json"), &run, &run.Schema); err != nil {
		return fmt.Errorf("closing the record %s as lost: %w", dir, err)
	}
	if !run.Supervisor.Dead() {
		return fmt.Errorf("closing the record %s as lost: %w", dir, ErrRunning)
	}
	run.ID = filepath.Base(dir)
	result := lost(dir, run)
	joinErr := joinLog(dir, kept, written(dir, kept))
	if info, err := os.Stat(partPath(dir, 0)); err == nil && result.Cause == Lost {
		result.Log = LogStat{Bytes: info.Size(), Kept: info.Size()}
	}
	if err := errors.Join(joinErr, clearAside(dir), writeResult(dir, result, fsx.Sync)); err != nil {
		return fmt.Errorf("closing the record %s as lost: %w", dir, err)
	}
	return nil
}

// lost is the result of a run that could not write its own: the one that it has left, or what can be said without.
func lost(dir string, run Run) Result {
	if result := left(dir); result != nil {
		result.ID = run.ID
		return *result
	}
	result := Result{Schema: Schema, ID: run.ID, Finished: lastSign(dir, run.Created), Cause: Lost}
	salvage(dir, &result)
	if here, err := host.Self(); err == nil && run.Supervisor.Host == here.Host && run.Supervisor.BootID != here.BootID {
		result.Message = "The host was restarted, or went down, while the run went on."
		result.Advice = "Run it again; a job that saves checkpoints can go on from the last one."
		return result
	}
	result.Message = "Coracle was killed while the run went on, and the job with it."
	result.Advice = "The host's log may say by whom: 'journalctl -k' shows what the kernel ended for want of memory; a batch system ends what exceeds its limits."
	return result
}

// lastSign is when a record was last written to by its run; a result that is there now is another reader's.
func lastSign(dir string, created time.Time) time.Time {
	last := created
	entries, _ := os.ReadDir(dir) // without them, the creation is the last sign
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.Name() != filepath.Base(resultPath(dir)) && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last.UTC()
}
