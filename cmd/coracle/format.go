package main

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

// rowFormat is a --format: a template for each line, with docker's fields and functions. "table " before it puts a heading above, and
// aligns.
type rowFormat[Row any] struct {
	template *template.Template
	table    bool
}

// parseFormat reads the --format of a command, whose fields are named in the error.
func parseFormat[Row any](command, text, fields string) (rowFormat[Row], error) {
	text, table := strings.CutPrefix(text, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Funcs(formatFunctions).Parse(text)
	if err == nil {
		var none Row
		err = t.Execute(io.Discard, none)
	}
	if err != nil {
		return rowFormat[Row]{}, &line.UsageError{
			Command: command, Problem: "--format: " + strings.TrimPrefix(err.Error(), "template: "), Advice: "the fields are " + fields,
		}
	}
	return rowFormat[Row]{template: t, table: table}, nil
}

// formatFunctions are docker's.
var formatFunctions = template.FuncMap{"json": jsonOf, "lower": strings.ToLower, "upper": strings.ToUpper, "join": joinOf, "split": strings.Split}

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

// print prints a line for each row, in a table below the heading.
func (f rowFormat[Row]) print(p *ui.Printer, heading Row, rows []Row) error {
	if !f.table {
		return f.execute(p.Raw(), rows)
	}
	aligned := tabwriter.NewWriter(p.Raw(), 0, 8, 3, ' ', 0)
	if err := f.execute(aligned, append([]Row{heading}, rows...)); err != nil {
		return err
	}
	return aligned.Flush()
}

func (f rowFormat[Row]) execute(w io.Writer, rows []Row) error {
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
