// Package recorded holds the records that tests have made against the schema that is promised for them, internal/record/schema.json.
//
// The schema lets other programs ignore fields that they do not know. Here every field has to be in it: what is not documented is not
// recorded.
package recorded

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coracle-run/coracle/internal/record"
)

// The parts of the schema.
const (
	Run    = "run"
	Result = "result"
	View   = "view"
	Note   = "note"
	Mounts = "mounts"

	event, system, metric, printed = "event", "systemJSONL", "metricLine", "outputTime"
)

// lines are the files of one object a line.
var lines = map[string]string{"events.jsonl": event, "system.jsonl": system, "metrics.jsonl": metric, "notes.jsonl": Note, "output.times": printed}

// Check holds all records under a data root against the schema. A test calls it when its runs have ended; a record that is not there,
// or was made by hand and by no supervisor, is none of its business. It returns how many there were.
func Check(t testing.TB, root string) (count int) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "runs", "*", "run.json"))
	if err != nil {
		t.Error(err)
		return 0
	}
	for _, path := range dirs {
		if raw, err := os.ReadFile(path); err != nil || !bytes.Contains(raw, []byte("\"supervisor\": {\n")) {
			continue
		}
		count++
		if err := errors.Join(Dir(filepath.Dir(path)), shown(root, filepath.Base(filepath.Dir(path)))); err != nil {
			t.Errorf("%s: %v", filepath.Dir(path), err)
		}
	}
	return count
}

// Dir holds one record against the schema.
func Dir(dir string) error {
	var errs []error
	for name, part := range map[string]string{"run.json": Run, "result.json": Result, "mounts.json": Mounts} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = Valid(part, raw)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, wrap(name, err))
		}
	}
	for name, part := range lines {
		errs = append(errs, wrap(name, validLines(filepath.Join(dir, name), part)))
	}
	return errors.Join(errs...)
}

// shown holds what is printed of a run as JSON against the schema.
func shown(root, id string) error {
	v, err := record.Open(root).Get(id)
	if err != nil {
		return err
	}
	if v.Dir, err = filepath.Abs(v.Dir); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return wrap("show", Valid(View, raw))
}

func wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// validLines looks at the first thousand lines of a file; a last one without a line end is still being written.
func validLines(path, part string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	const most = 1000
	reader := bufio.NewReader(file)
	for n := 1; n <= most; n++ {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			return nil
		}
		if err := Valid(part, line); err != nil {
			return fmt.Errorf("line %d: %s: %w", n, line, err)
		}
	}
	return nil
}

// Valid holds one document against a part of the schema.
func Valid(part string, raw []byte) error {
	schemas, err := compiled()
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return schemas[part].Validate(document)
}

var compiled = sync.OnceValues(compile)

const place = "urn:coracle:record:strict"

// compile makes the schema strict and compiles its parts.
func compile() (map[string]*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(record.JSONSchema))
	if err != nil {
		return nil, err
	}
	root, ok := document.(map[string]any)
	if !ok {
		return nil, errors.New("the schema is no object")
	}
	delete(root, "$id")
	parts, ok := root["$defs"].(map[string]any)
	if !ok {
		return nil, errors.New("the schema has no parts")
	}
	for name, part := range parts {
		open := name == Run || name == Result || name == View || name == event // the others complete these, below
		closeObjects(part, open)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(place, root); err != nil {
		return nil, err
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, part := range []string{Run, Result, View, Note, Mounts, event, system, metric, printed} {
		closed := map[string]any{"$ref": place + "#/$defs/" + part}
		if part != event && part != printed { // of which each kind has its own, or which is no object
			closed["unevaluatedProperties"] = false
		}
		if err := compiler.AddResource(place+":"+part, closed); err != nil {
			return nil, err
		}
		if schemas[part], err = compiler.Compile(place + ":" + part); err != nil {
			return nil, err
		}
	}
	return schemas, nil
}

// closeObjects forbids what is not named, in all objects but an open one itself.
func closeObjects(v any, open bool) {
	switch v := v.(type) {
	case []any:
		for _, member := range v {
			closeObjects(member, false)
		}
	case map[string]any:
		if _, named := v["properties"].(map[string]any); named && !open && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for key, member := range v {
			if key == "properties" {
				for _, property := range asMap(member) {
					closeObjects(property, false)
				}
			} else if key != "if" && key != "then" && key != "else" {
				closeObjects(member, false)
			}
		}
	}
}

func asMap(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
