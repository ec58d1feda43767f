package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Rename gives a run another name, whether it goes on or has ended. That is all that ever changes in a run.json: it is replaced, whole,
// and what another version of Coracle has put into it stays as it is. Of two that rename a run at once one wins.
func (r *Runs) Rename(id, name string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("renaming run %s: %w", id, err)
		}
	}()
	dir := r.Dir(id)
	path := filepath.Join(dir, runFile)
	raw, err := fsx.ReadRegular(path, mostOfFile)
	if err != nil {
		return err
	}
	if raw, err = withName(raw, name); err != nil {
		return err
	}
	tmp, err := tmpOf(dir)
	if err != nil {
		return err
	}
	return fsx.WriteVia(tmp, path, raw, 0o600, fsx.Sync)
}

// withName puts a name into the object that a run.json is.
func withName(raw []byte, name string) ([]byte, error) {
	text, err := json.Marshal(name)
	if err != nil {
		return nil, err
	}
	members := json.NewDecoder(bytes.NewReader(raw))
	if _, err := members.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	after := int64(-1) // where a name may be put in
	for members.More() {
		key, err := members.Token()
		var value json.RawMessage
		if err == nil {
			err = members.Decode(&value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		end := members.InputOffset()
		switch key {
		case "name":
			return bytes.Join([][]byte{raw[:end-int64(len(value))], text, raw[end:]}, nil), nil
		case "id":
			after = end
		}
	}
	if after < 0 {
		return nil, fmt.Errorf("%w: it has no id", ErrDamaged)
	}
	return bytes.Join([][]byte{raw[:after], []byte(",\n  \"name\": "), text, raw[after:]}, nil), nil
}
