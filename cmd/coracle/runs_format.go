package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

// runRow is what a --format template sees of a run. What a job or a user has said is escaped.
type runRow struct {
	ID, Name, Image, Command, State, Status, Cause, Started, Duration, Project, Labels, Host string

	view *record.View // in full, for Get
}

// Get is any other field, by its name in 'coracle runs show --json'.
func (r runRow) Get(field string) string {
	if r.view == nil {
		return ""
	}
	return ui.Escape(record.FieldText(record.Field(r.view, field)))
}

const runFields = `.ID .Name .Image .Command .State .Status .Cause .Started .Duration .Project .Labels .Host and .Get "FIELD"`

func runFormat(c *cli.Context, text string) (template.Rows[runRow], error) {
	return template.ParseRows[runRow](commandName(c), text, runFields)
}

// formatRuns prints a line for each run by a template.
func formatRuns(p *ui.Printer, f template.Rows[runRow], list listed, now time.Time) error {
	var rows []runRow
	for v, id := range list {
		rows = append(rows, runRow{
			ID: id, Name: ui.Escape(v.Name), Image: ui.Escape(familiarImage(v.Image.Ref)), Command: ui.Escape(commandLine(v.Argv)),
			State: v.Standing(), Status: stateText(v), Cause: ui.Escape(string(v.Cause)), Started: startOf(v).Local().Format("2006-01-02 15:04:05 -0700 MST"),
			Duration: durationText(v, now), Project: ui.Escape(v.Project), Labels: ui.Escape(labelsText(v.Labels)), Host: ui.Escape(v.Host.Hostname), view: v,
		})
	}
	return f.Print(p, runRow{
		"RUN ID", "NAME", "IMAGE", "COMMAND", "STATE", "STATUS", "CAUSE", "STARTED", "DURATION", "PROJECT", "LABELS", "HOST", nil,
	}, rows)
}

// labelsText is labels as docker lists them.
func labelsText(labels map[string]string) string {
	var texts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		texts = append(texts, strings.TrimSuffix(key+"="+labels[key], "="))
	}
	return strings.Join(texts, ",")
}

// runFilters reads --filter.
func runFilters(c *cli.Context) (filters []record.Filter, err error) {
	for _, text := range line.Values(c, "filter") {
		f, err := record.ParseFilter(text)
		if err != nil {
			return nil, &line.UsageError{Command: commandName(c), Problem: "--filter: " + err.Error(), Advice: filterAdvice(text, err)}
		}
		filters = append(filters, f)
	}
	return filters, nil
}

// filterAdvice says what was probably meant by what is no filter, or what filters there are.
func filterAdvice(text string, err error) string {
	field := text[:max(0, strings.IndexAny(text, "!=<>"))]
	operator := text[len(field) : len(text)-len(strings.TrimLeft(text[len(field):], "!=<>"))]
	value, is := errors.AsType[*record.ValueError](err)
	switch {
	case is && line.Nearest(value.Value, value.Words) != "":
		return fmt.Sprintf("did you mean %s%s%s?", field, operator, line.Nearest(value.Value, value.Words))
	case is:
		return "" // the error says what there is
	case errors.Is(err, record.ErrField) && line.Nearest(field, record.FieldNames()) != "":
		return fmt.Sprintf("did you mean %s?", line.Nearest(field, record.FieldNames()))
	}
	return "write FIELD=VALUE with a field of 'coracle runs show --json', or state, cause, name, image, label=KEY, project, since, until; also !=, <, >, <=, >="
}
