package record

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Deserted are the ids of runs whose supervisor is provably dead and left no result, the newest first. Other than a list, it closes
// no record: see [MarkLost] and [Runs.Dir].
func (r *Runs) Deserted() ([]string, error) {
	ids, err := r.IDs()
	if err != nil {
		return nil, err
	}
	deserted := make([]bool, len(ids))
	errs := make([]error, len(ids))
	beside(len(ids), func(i int) { deserted[i], errs[i] = r.deserted(ids[i]) })
	var found []string
	for i, id := range ids {
		if deserted[i] {
			found = append(found, id)
		}
	}
	return found, errors.Join(errs...)
}

func (r *Runs) deserted(id string) (bool, error) {
	dir := r.Dir(id)
	if hasResult(dir) {
		return false, nil
	}
	var run Run
	err := readJSON(filepath.Join(dir, runFile), &run, &run.Schema)
	if err == nil {
		return run.Supervisor.Dead() && !hasResult(dir), nil // it may have written one before it ended
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		return false, nil // of which nothing can be said
	}
	return false, err
}

// Dir is the directory of the record with an id.
func (r *Runs) Dir(id string) string { return filepath.Join(r.dir, id) }
