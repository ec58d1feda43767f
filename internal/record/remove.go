package record

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
)

// Resolve is Get, but a damaged record is a view that says so, and no error.
func (r *Runs) Resolve(asked string) (View, error) {
	v, err := r.get(asked)
	if errors.Is(err, ErrDamaged) && v.Dir != "" {
		return damaged(filepath.Base(v.Dir), v.Dir, err), nil
	}
	if err != nil {
		return View{}, fmt.Errorf("run %q: %w", asked, err)
	}
	return v, nil
}

// Remove removes the record of a run, with all its files. It goes at once, by a rename: nobody sees half of it. A run that goes on
// keeps its record, ErrRunning; with force one that seems to go on elsewhere, of which nothing can be proven here, does not.
func (r *Runs) Remove(v View, force bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("removing the record of run %s: %w", v.ID, err)
		}
	}()
	if v.State == Running {
		here, err := host.Self()
		if err != nil {
			return err
		}
		owner := v.Supervisor
		if !force || owner.BootID == here.BootID && owner.PIDSpace == here.PIDSpace {
			return ErrRunning
		}
	}
	dir := filepath.Join(r.dir, filepath.Base(v.Dir))
	tmp, err := tmpOf(dir)
	if err != nil {
		return err
	}
	name, err := fsx.TempName()
	if err != nil {
		return err
	}
	path := filepath.Join(tmp, name)
	if err := fsx.Rename(dir, path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody else has
		}
		return err
	}
	return fsx.RemoveAll(path)
}
