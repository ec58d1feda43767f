package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// watchedName is a file of a running record whose date says when somebody last looked.
const watchedName = "watched"

// aside are the files beside the record of a running job that others have put there, or are to see there, and the room for its end.
var aside = []string{watchedName, stopName, pausedName, restartingName, roomName}

// putAside writes a file beside the record in dir. A command that is killed meanwhile leaves nothing in the record.
func putAside(dir, name string, data []byte) error {
	tmp, err := tmpOf(dir)
	if err != nil {
		return err
	}
	return fsx.WriteVia(tmp, filepath.Join(dir, name), data, 0o600)
}

// pausedName is a file of a running record whose job is paused.
const pausedName = "paused"

// SetPaused says whether the job is paused.
func (w *Writer) SetPaused(paused bool) error {
	if paused {
		return putAside(w.dir, pausedName, nil)
	}
	return fsx.IgnoreMissing(os.Remove(filepath.Join(w.dir, pausedName)))
}

// isPaused reports whether the job of a running record is.
func isPaused(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, pausedName))
	return err == nil
}

// restartingName is a file of a running record whose job has ended and waits for its next start: how it ended.
const restartingName = "restarting"

// SetRestarting says how the job has ended that is to be started again; nil: it has been.
func (w *Writer) SetRestarting(ended *Attempt) error {
	if ended == nil {
		return fsx.IgnoreMissing(os.Remove(filepath.Join(w.dir, restartingName)))
	}
	told := *ended
	told.Message = "" // which may have a secret of the job's in it; the result has it without
	raw, err := json.Marshal(told)
	if err != nil {
		return err
	}
	return putAside(w.dir, restartingName, raw)
}

// restarting is how the job of a running record has ended that is to be started again, or nil.
func restarting(dir string) *Attempt {
	raw, err := fsx.ReadRegular(filepath.Join(dir, restartingName), mostOfFile)
	if err != nil {
		return nil
	}
	var ended Attempt
	if err := json.Unmarshal(raw, &ended); err != nil {
		return nil
	}
	return &ended
}

// watchLasts is how long a look counts.
const watchLasts = 3 * time.Second

// Watch asks the supervisor of a running job to write each sample down at once, for some seconds. A supervisor on another host may
// hear of it late, and one that is gone never.
func (v View) Watch() (err error) {
	name := filepath.Join(v.Dir, watchedName)
	file, err := fsx.AppendFile(name, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Chtimes(name, time.Time{}, time.Now()))
}

// Watched reports whether somebody looks (Watch).
func (w *Writer) Watched() bool {
	info, err := os.Stat(filepath.Join(w.dir, watchedName))
	return err == nil && time.Since(info.ModTime()).Abs() < watchLasts
}

// clearAside takes away what lies beside the record of a running job. The result comes next, and has room then.
func clearAside(dir string) (first error) {
	for _, name := range aside {
		if err := fsx.IgnoreMissing(os.Remove(filepath.Join(dir, name))); first == nil {
			first = err // where the disk is broken the others say the same
		}
	}
	return first
}

// stopName is a file of a running record that says how long its job has from being asked to end to being killed, in place of what the run
// was told at first.
const stopName = "stop-timeout"

// SetStopTimeout has the supervisor give the job so much time when it is next asked to end.
func (v View) SetStopTimeout(d time.Duration) error {
	return putAside(v.Dir, stopName, []byte(d.String()+"\n"))
}

// StopTimeout is what somebody has set; false: nobody has.
func (w *Writer) StopTimeout() (time.Duration, bool) {
	text, err := fsx.ReadRegular(filepath.Join(w.dir, stopName), mostOfFile)
	if err != nil {
		return 0, false
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	return d, err == nil && d >= 0
}
