// Package template reads the --format of commands, and prints what they list by it: Go's templates (text/template) with docker's fields
// and functions.
package template

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
)

// Rows is a template for each line of a list. "table " before it puts a heading above, and aligns.
type Rows[Row any] struct {
	template *template.Template
	table    bool
}

// ParseRows reads the --format of a command, whose fields are named in the error, a *line.UsageError.
func ParseRows[Row any](command, text, fields string) (Rows[Row], error) {
	text, table := strings.CutPrefix(text, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Funcs(functions).Parse(text)
	if err == nil {
		var none Row
		err = t.Execute(io.Discard, none)
	}
	if err != nil {
		return Rows[Row]{}, &line.UsageError{
			Command: command, Problem: "--format: " + strings.TrimPrefix(err.Error(), "template: "), Advice: "the fields are " + fields,
		}
	}
	return Rows[Row]{template: t, table: table}, nil
}

// functions are docker's.
var functions = template.FuncMap{"json": jsonOf, "lower": strings.ToLower, "upper": strings.ToUpper, "join": joinOf, "split": strings.Split}

// joinOf joins texts, or whatever a list has.
func joinOf(list any, with string) string {
	switch list := list.(type) {
	case []string:
		return strings.Join(list, with)
	case []any:
		texts := make([]string, len(list))
		for i, v := range list {
			texts[i] = fmt.Sprint(v)
		}
		return strings.Join(texts, with)
	}
	return fmt.Sprint(list)
}

func jsonOf(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// Print prints a line for each row, in a table below the heading.
func (f Rows[Row]) Print(p *ui.Printer, heading Row, rows []Row) error {
	if !f.table {
		return f.execute(p.Raw(), rows)
	}
	aligned := tabwriter.NewWriter(p.Raw(), 0, 8, 3, ' ', 0)
	if err := f.execute(aligned, append([]Row{heading}, rows...)); err != nil {
		return err
	}
	return aligned.Flush()
}

func (f Rows[Row]) execute(w io.Writer, rows []Row) error {
	lines := bufio.NewWriter(w) // there may be thousands
	var line bytes.Buffer
	for _, row := range rows {
		line.Reset()
		if err := f.template.Execute(&line, row); err != nil {
			return errors.Join(err, lines.Flush())
		}
		line.WriteByte('\n')
		if _, err := lines.Write(line.Bytes()); err != nil {
			return err
		}
	}
	return lines.Flush()
}
