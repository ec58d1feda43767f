package template

import (
	"encoding/json"
	"errors"
	"strings"
	"text/template"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
)

// Object is a template for objects, by the names of their JSON.
type Object struct{ template *template.Template }

// ParseObject reads the --format of a command. The error is a *line.UsageError.
func ParseObject(command, text string) (*Object, error) {
	t, err := template.New("").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, &line.UsageError{
			Command: command, Problem: "--format: " + strings.TrimPrefix(err.Error(), "template: "), Advice: "the fields are those of its JSON",
		}
	}
	return &Object{t}, nil
}

// Print prints an object by the template. What it says is made harmless, line by line.
func (o *Object) Print(p *ui.Printer, object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var tree any
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber() // sizes are not to be shown with exponents
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	var b strings.Builder
	if err := o.template.Execute(&b, tree); err != nil {
		return errors.New("--format: " + strings.TrimPrefix(err.Error(), "template: "))
	}
	for row := range strings.SplitSeq(b.String(), "\n") {
		if err := p.Line("%s", row); err != nil {
			return err
		}
	}
	return nil
}
