package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Git is the working tree that a run was started in.
type Git struct {
	Dir    string `json:"dir"`              // its top, on the host
	Commit string `json:"commit"`           // that was checked out
	Branch string `json:"branch,omitempty"` // absent for none
	Remote string `json:"remote,omitempty"` // URL of origin, without credentials
}

// Fingerprint tells whether what was mounted is still the same, as far as it can be told without reading it: how many files there
// are, their bytes, and the newest change. Of a mount that the job can write to, it is of the files older than the run.
type Fingerprint struct {
	Files  int64     `json:"files"`
	Bytes  int64     `json:"bytes"`
	Newest time.Time `json:"newest,omitzero"` // UTC
}

// Same compares two of them.
func (f Fingerprint) Same(other Fingerprint) bool {
	return f.Files == other.Files && f.Bytes == other.Bytes && f.Newest.Equal(other.Newest)
}

// mountsFile has the fingerprints of a run's mounts by their targets. It is written while the run goes on: the job does not wait for
// it.
const mountsFile = "mounts.json"

// Fingerprints records what the run's mounts look like, by their targets.
func (w *Writer) Fingerprints(of map[string]Fingerprint) error {
	data, err := encode(of)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return fmt.Errorf("recording the mounts: %w", ErrFinished)
	}
	tmp, err := tmpOf(w.dir)
	if err == nil {
		err = fsx.WriteVia(tmp, filepath.Join(w.dir, mountsFile), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("recording the mounts: %w", err)
	}
	return nil
}

// withFingerprints completes the mounts of a run, where there is something to complete them with.
func withFingerprints(v View) (View, error) {
	data, err := fsx.ReadRegular(filepath.Join(v.Dir, mountsFile), mostOfFile)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return View{}, err
	}
	var of map[string]Fingerprint
	if err := json.Unmarshal(data, &of); err != nil {
		return View{}, fmt.Errorf("reading %s: %w: %w", filepath.Join(v.Dir, mountsFile), ErrDamaged, err)
	}
	for i, m := range v.Mounts {
		if f, ok := of[m.Target]; ok {
			v.Mounts[i].Fingerprint = &f
		}
	}
	return v, nil
}
