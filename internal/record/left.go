package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// leftKind is the kind of the event that has the result of a run whose result.json could not be written.
const leftKind = "result"

// leave puts a result among the events, the file of which is open whatever has become of the directory. The error says so: there is a
// failure to tell in any case.
func (w *Writer) leave(result Result) error {
	line, err := json.Marshal(map[string]any{"time": time.Now().UTC(), "kind": leftKind, "result": result})
	if err == nil {
		_, err = appendLine(w.events, append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("leaving it in %s: %w", eventsFile, at(filepath.Join(w.dir, eventsFile), err))
	}
	return errors.New("the record's " + eventsFile + " has it, and the next command that reads the record writes it")
}

// left is the result that a supervisor has left among the events of a record, or nil.
func left(dir string) (result *Result) {
	eachLine(filepath.Join(dir, eventsFile), func(line []byte) {
		var event struct {
			Kind   string
			Result *Result
		}
		if json.Unmarshal(line, &event) == nil && event.Kind == leftKind && event.Result != nil && event.Result.Schema == Schema {
			result = event.Result
		}
	})
	return result
}
