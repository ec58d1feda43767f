package recorded

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// valid is a small record's part as JSON, changed as a test wants.
func valid(t *testing.T, part string, change func(map[string]any)) []byte {
	t.Helper()
	run := record.Run{
		Schema: record.Schema, ID: "01K0000001ABCDEFGHJKMNPQRS", Created: time.Now().UTC(), Image: record.Image{Platform: "linux/amd64"},
		Argv: []string{}, Env: record.Env{Set: map[string]string{}, Names: []string{}}, UserNS: "flat", Mounts: []record.Mount{}, Network: "host",
		Namespaces: []string{}, Security: record.Security{Seccomp: "default", Capabilities: []string{}}, Host: record.Host{CPUs: 1}, Command: []string{},
	}
	run.Supervisor.PID = 1
	document := map[string]any{
		Run: run, Result: record.Result{Schema: record.Schema, ID: run.ID, Finished: time.Now().UTC(), ExitCode: new(0), Cause: record.Exited, Message: "It ended."},
		View: record.View{State: record.Running, Run: run, Dir: "/x"}, Note: record.Note{Time: time.Now().UTC(), Text: "x"},
	}[part]
	raw, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		t.Fatal(err)
	}
	change(tree)
	raw, err = json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The check fails where it has to.
func TestStrict(t *testing.T) {
	for _, part := range []string{Run, Result, View, Note} {
		if err := Valid(part, valid(t, part, func(map[string]any) {})); err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
	for _, c := range []struct {
		part, name string
		change     func(map[string]any)
	}{
		{Run, "an unknown field", func(m map[string]any) { m["extra"] = 1 }},
		{Run, "an unknown field of the image", func(m map[string]any) { asMap(m["image"])["extra"] = 1 }},
		{Run, "no argv", func(m map[string]any) { delete(m, "argv") }},
		{Run, "argv is null", func(m map[string]any) { m["argv"] = nil }},
		{Run, "an id in small letters", func(m map[string]any) { m["id"] = strings.ToLower("01K0000001ABCDEFGHJKMNPQRS") }},
		{Run, "a digest that is none", func(m map[string]any) { asMap(m["image"])["digest"] = "sha256:9f" }},
		{Run, "a time that is none", func(m map[string]any) { m["created"] = "2026-13-01T00:00:00Z" }},
		{Run, "another schema", func(m map[string]any) { m["schema"] = 2 }},
		{Result, "an unknown cause", func(m map[string]any) { m["cause"] = "bored" }},
		{Result, "lost with a status", func(m map[string]any) { m["cause"] = "lost" }},
		{Result, "no status", func(m map[string]any) { m["exit_code"] = nil }},
		{Result, "no sentence", func(m map[string]any) { m["message"] = "" }},
		{Result, "an unknown number", func(m map[string]any) { asMap(m["peaks"])["extra"] = 1 }},
		{Result, "an unknown source", func(m map[string]any) { m["sources"] = map[string]any{"peaks.memory_bytes": "guess"} }},
		{Result, "a metric without a count", func(m map[string]any) { m["metrics"] = map[string]any{"loss": map[string]any{"first": 1, "last": 1}} }},
		{View, "an unknown state", func(m map[string]any) { m["state"] = "asleep" }},
		{View, "an unknown field", func(m map[string]any) { m["extra"] = 1 }},
		{Note, "no text", func(m map[string]any) { m["text"] = "" }},
	} {
		if err := Valid(c.part, valid(t, c.part, c.change)); err == nil {
			t.Errorf("%s: %s is accepted", c.part, c.name)
		}
	}
	for part, line := range map[string]string{
		event: `{"kind":"started"}`, system: `{"t":1,"samples":1,"memory_bytes":[1]}`, metric: `{"t":1,"source":"file","values":{"loss":"many"}}`,
	} {
		if err := Valid(part, []byte(line)); err == nil {
			t.Errorf("%s is accepted as %s", line, part)
		}
	}
}

// Every field of the Go types is in the schema, and every one of the schema is in the Go types.
func TestFields(t *testing.T) {
	var document struct {
		Defs map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(record.JSONSchema), &document); err != nil {
		t.Fatal(err)
	}
	for part, of := range map[string]reflect.Type{
		Run: reflect.TypeFor[record.Run](), Result: reflect.TypeFor[record.Result](), Note: reflect.TypeFor[record.Note](), View: reflect.TypeFor[record.View](),
	} {
		compareFields(t, part, of, document.Defs, document.Defs[part])
	}
}

func compareFields(t *testing.T, name string, of reflect.Type, defs map[string]any, schema any) {
	t.Helper()
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
		return
	}
	have := map[string]reflect.Type{}
	for i := range of.NumField() {
		f := of.Field(i)
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous {
			have[tag] = f.Type
		} else { // it is in the schema by a reference
			compareFields(t, name, f.Type, defs, asMap(schema)["$ref"])
		}
	}
	properties := asMap(resolve(defs, schema)["properties"])
	if a, b := slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(properties)); !slices.Equal(a, b) {
		t.Errorf("%s: the type has %q,\nthe schema %q", name, a, b)
	}
	for field, inner := range have {
		compareFields(t, name+"."+field, inner, defs, properties[field])
	}
}

// resolve follows references, and goes into lists, maps and what may be null.
func resolve(defs map[string]any, schema any) map[string]any {
	if ref, ok := schema.(string); ok {
		return resolve(defs, defs[strings.TrimPrefix(ref, "#/$defs/")])
	}
	m := asMap(schema)
	if m["properties"] != nil {
		return m
	}
	if choice, ok := m["anyOf"].([]any); ok {
		return resolve(defs, choice[0])
	}
	for _, key := range []string{"$ref", "items", "additionalProperties"} {
		if inner, ok := m[key]; ok {
			return resolve(defs, inner)
		}
	}
	return m
}

// TestOldRecords: what earlier versions have written is read, by the names that scripts use, and is still as the schema says.
func TestOldRecords(t *testing.T) {
	const root = "testdata/schema-1"
	if n := Check(t, root); n < 2 {
		t.Errorf("only %d records were looked at", n)
	}
	runs := record.Open(root)
	list, err := runs.List(0)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d, %v", len(list), err)
	}
	for name, want := range map[string]map[string]any{
		"trained": {
			"id": "01M7Y2P8ERGHA0WNZNS0ZVNQ3S", "state": "exited", "exit_code": 0., "cause": "exited", "argv": "python3 train.py --epochs 3",
			"image.digest":       "sha256:133b8b40b44c2b328000ecdcb8702647077b25185eb619570f82808cda3d3fdd",
			"totals.cpu_seconds": 171.5, "peaks.memory_bytes": 1073741824., "metrics.loss.last": 0.31, "metrics.eval.accuracy.last": 0.9721,
		},
		"first":  {"state": "exited", "exit_code": 3., "cause": "exited", "totals.cpu_seconds": 0.25, "log.kept": 6., "peaks.memory_bytes": 4751360.},
		"broken": {"state": "lost", "exit_code": nil, "cause": "lost"},
	} {
		v, err := runs.Get(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for field, value := range want {
			if got := record.Field(&v, field); got != value {
				t.Errorf("%s: %s is %v, want %v", name, field, got, value)
			}
		}
	}
	if _, err := os.Stat(root + "/tmp"); err == nil {
		t.Error("reading has left something")
	}
}
