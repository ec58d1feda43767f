package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// runFile says what ran, eventsFile what happened.
const runFile, eventsFile = "run.json", "events.jsonl"

// Writer writes the record of one run. Its methods are safe for use by several goroutines.
type Writer struct {
	run    Run
	dir    string
	secret *redactor
	log    *Log

	mu       sync.Mutex
	events   *os.File
	series   []*Series
	finished bool
}

// Create makes the record of a run that is about to start. It sets the schema, and the id and the time where they are
// empty, and takes out secrets: what says so itself, and the values that are given. The record is there whole, or not at all,
// also when the process is killed in between: it is made under the data directory's tmp, where [fsx.TempName] says whose it
// is, and renamed. Nothing is forced to disk yet: the job is waiting.
func (r *Runs) Create(run Run, secrets ...string) (*Writer, error) {
	w, complete, err := r.Begin(run, secrets...)
	if err == nil {
		err = complete()
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Begin is Create for those who have something else to do meanwhile. The record's log takes output at once; the record is there when
// complete, which is called once, has returned, and nothing of it is left when that fails. Before, there is nothing to Finish.
func (r *Runs) Begin(run Run, secrets ...string) (w *Writer, complete func() error, err error) {
	run.Schema = Schema
	if run.Created.IsZero() {
		run.Created = time.Now()
	}
	run.Created = run.Created.UTC()
	if run.ID == "" {
		run.ID = NewID(run.Created)
	}
	run, secret := redact(lists(run), secrets...)
	w, made, err := r.begin(run, secret)
	if err != nil {
		return nil, nil, fmt.Errorf("making a run record: %w", err)
	}
	return w, func() error {
		if err := w.complete(made); err != nil {
			return fmt.Errorf("making a run record: %w", err)
		}
		return nil
	}, nil
}

// lists makes empty lists of missing ones: in the JSON they are [], which a script can loop over, and not null.
func lists(run Run) Run {
	for _, list := range []*[]string{&run.Argv, &run.Env.Names, &run.Namespaces, &run.Security.Capabilities, &run.Command} {
		if *list == nil {
			*list = []string{}
		}
	}
	if run.Mounts == nil {
		run.Mounts = []Mount{}
	}
	if run.Env.Set == nil {
		run.Env.Set = map[string]string{}
	}
	return run
}

// begin makes the directory in which a record is made.
func (r *Runs) begin(run Run, secret *redactor) (w *Writer, made string, err error) {
	dir := filepath.Join(r.dir, run.ID)
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, "", err
	}
	tmp, err := tmpOf(dir)
	if err != nil {
		return nil, "", err
	}
	if made, err = fsx.TempDir(tmp); err != nil {
		return nil, "", err
	}
	w = &Writer{run: run, dir: dir, secret: secret}
	if err := w.open(made); err != nil {
		return nil, "", errors.Join(err, w.close(), fsx.RemoveAll(made))
	}
	return w, made, nil
}

// complete says what runs and puts the record in its place; the open files move along.
func (w *Writer) complete(made string) error {
	data, err := encode(w.run)
	if err == nil {
		err = fsx.WriteFile(filepath.Join(made, runFile), data, 0o600)
	}
	if err == nil {
		_ = holdRoom(made) // on a disk that has so little left the job may still do without
	}
	if err == nil {
		err = fsx.Rename(made, w.dir) // an id that is taken: the other has entries, so this fails
	}
	if err != nil {
		return errors.Join(err, w.close(), fsx.RemoveAll(made))
	}
	return nil
}

// tmpOf is the directory for unfinished files of the record in dir. It is outside of the record, so that a killed process
// leaves nothing there, and on its file system. It is made when missing; the data directory is not: it may have been moved, or
// unmounted, and is to come back.
func tmpOf(dir string) (string, error) {
	tmp := filepath.Join(filepath.Dir(filepath.Dir(dir)), "tmp")
	if info, err := os.Stat(tmp); err == nil && info.IsDir() {
		return tmp, nil // a network file system need not be asked to make it
	}
	if err := os.Mkdir(tmp, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return tmp, nil
}

// open makes the files of the record that are written to while the job runs.
func (w *Writer) open(made string) (err error) {
	if w.log, err = newLog(made, kept, w.secret.scrubber()); err != nil {
		return err
	}
	w.log.dir = w.dir
	w.events, err = fsx.AppendFile(filepath.Join(made, eventsFile), 0o600)
	return err
}

// ID is the run's id.
func (w *Writer) ID() string { return w.run.ID }

// Dir is the record's directory.
func (w *Writer) Dir() string { return w.dir }

// Run is what run.json says.
func (w *Writer) Run() Run { return w.run }

// Log is where the job's output goes. Finish closes it.
func (w *Writer) Log() *Log { return w.log }

// Event appends one line to events.jsonl: the time, the kind and the fields, without secrets. Kinds are lower-case words
// ("started", "signal"); fields named time and kind are overwritten.
func (w *Writer) Event(kind string, fields map[string]any) error {
	event := make(map[string]any, len(fields)+2)
	if fields != nil {
		maps.Copy(event, w.secret.fields(fields))
	}
	event["time"], event["kind"] = time.Now().UTC(), kind
	line, err := json.Marshal(event)
	if err != nil {
		return fmt.Errorf("recording the event %s: %w", kind, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return fmt.Errorf("recording the event %s: %w", kind, ErrFinished)
	}
	if _, err := appendLine(w.events, append(line, '\n')); err != nil {
		return fmt.Errorf("recording the event %s: %w", kind, at(filepath.Join(w.dir, eventsFile), err))
	}
	return nil
}

// appendLine adds a whole line, by one write, to a file opened for appending that nobody else writes to: a reader sees all of it or a torn
// last line. Of one that does not fit on the disk nothing stays, so that the next is no part of it; n is what did.
func appendLine(file *os.File, line []byte) (n int, err error) {
	n, err = file.Write(line)
	if err == nil || n == 0 {
		return n, err
	}
	end, seekErr := file.Seek(0, io.SeekCurrent)
	if seekErr != nil {
		return n, err
	}
	if file.Truncate(end-int64(n)) != nil {
		return n, err
	}
	return 0, err
}

// at is an error of a file that has moved since it was opened, with the path that it has now.
func at(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// Finish writes the result and closes the record. It fills in schema, id, the log's counts and, where it is zero, the time,
// and does not wait for the disk: that is for Settle, or for somebody who has more time. Until then a power cut may leave a run
// that is told as lost. A result that cannot be written is left among the events, where that is possible: who reads the record next writes
// it. A second call returns ErrFinished.
func (w *Writer) Finish(result Result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return fmt.Errorf("recording the result: %w", ErrFinished)
	}
	w.finished = true
	stat, logErr := w.log.close()
	result.Schema, result.ID, result.Log = Schema, w.run.ID, stat
	if result.Finished.IsZero() {
		result.Finished = time.Now()
	}
	result.Started, result.Finished = result.Started.UTC(), result.Finished.UTC()
	result.Message, result.Advice = w.secret.text(result.Message), w.secret.text(result.Advice)
	result.Evidence = w.secret.evidence(result.Evidence)
	result.Checkpoint, result.Attempts = w.secret.checkpoint(result.Checkpoint), w.secret.attempts(result.Attempts)
	result.GPUError, result.GPUUse = w.secret.text(result.GPUError), w.secret.gpuUse(result.GPUUse)
	err := errors.Join(logErr, w.closeSeries(), clearAside(w.dir))
	if unwritten := writeResult(w.dir, result); unwritten != nil {
		err = errors.Join(err, unwritten, w.leave(result))
	}
	if err = errors.Join(err, w.events.Close()); err != nil {
		return fmt.Errorf("recording the result: %w", err)
	}
	return nil
}

// Settle waits until the record is on disk. It follows Finish.
func (w *Writer) Settle() (err error) {
	dir, err := os.Open(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // who has taken it away does not want it there
	}
	if err != nil {
		return fmt.Errorf("forcing the record to disk: %w", err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := fsx.Settle(dir); err != nil {
		return fmt.Errorf("forcing the record to disk: %w", err)
	}
	return nil
}

// close lets go of what open has opened.
func (w *Writer) close() error {
	var errs []error
	if w.log != nil {
		errs = append(errs, w.log.Close())
	}
	if w.events != nil {
		errs = append(errs, w.events.Close())
	}
	return errors.Join(errs...)
}

// writeResult writes result.json whole.
func writeResult(dir string, result Result, opts ...fsx.Option) error {
	data, err := encode(result)
	if err != nil {
		return err
	}
	tmp, err := tmpOf(dir)
	if err != nil {
		return err
	}
	return fsx.WriteVia(tmp, resultPath(dir), data, 0o600, opts...)
}

// encode is v in JSON, indented for people with cat.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

func resultPath(dir string) string { return filepath.Join(dir, "result.json") }

// HasResult reports whether the record in a directory has a result.
func HasResult(dir string) bool {
	_, err := os.Lstat(resultPath(dir))
	return err == nil
}
