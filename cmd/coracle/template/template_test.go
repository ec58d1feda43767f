package template_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/ui"
)

type row struct {
	Name string
	Tags []string
}

// TestRows prints lines as docker does, with its functions, and below a heading where that is asked for.
func TestRows(t *testing.T) {
	rows := []row{{"one", []string{"a", "b"}}, {"three", nil}}
	for text, want := range map[string]string{
		`{{.Name}}`:                       "one\nthree\n",
		`{{upper .Name}}\t{{json .Tags}}`: "ONE\t[\"a\",\"b\"]\nTHREE\tnull\n",
		`table {{.Name}}\t{{join .Tags "+"}}`: "NAME    TAGS\n" +
			"one     a+b\n" +
			"three   \n",
	} {
		rowsOf, err := template.ParseRows[row]("ps", text, ".Name .Tags")
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := rowsOf.Print(ui.New(&out, nil, func(string) string { return "" }), row{"NAME", []string{"TAGS"}}, rows); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", text, out.String(), err, want)
		}
	}
}

// TestMistakes: what is no template, and a field that there is not, are mistakes on the command line.
func TestMistakes(t *testing.T) {
	_, unknown := template.ParseRows[row]("ps", "{{.Nme}}", ".Name .Tags")
	_, cut := template.ParseRows[row]("ps", "{{.Name", ".Name .Tags")
	_, object := template.ParseObject("inspect", "{{.Name")
	for _, err := range []error{unknown, cut, object} {
		if _, ok := errors.AsType[*line.UsageError](err); !ok || !strings.Contains(err.Error(), "--format: ") {
			t.Errorf("%v", err)
		}
	}
}

// TestObject goes by the names of the JSON, keeps large numbers whole, and makes what is printed harmless.
func TestObject(t *testing.T) {
	o, err := template.ParseObject("inspect", "{{.size}} {{.name}}")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	err = o.Print(ui.New(&out, nil, func(string) string { return "" }), struct {
		Size int64  `json:"size"`
		Name string `json:"name"`
	}{123456789012, "a\x1b[2J"})
	if err != nil || out.String() != "123456789012 a\\x1b[2J\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	other, err := template.ParseObject("inspect", "{{.nosuch}}")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Print(ui.New(&out, nil, func(string) string { return "" }), map[string]int{}); err == nil || !strings.HasPrefix(err.Error(), "--format: ") {
		t.Errorf("%v", err)
	}
}
