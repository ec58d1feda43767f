package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/ui"
)

// imageFilter says which images are listed. Filters of one key are alternatives, those of several keys must all fit.
type imageFilter struct {
	dangling   *bool
	references []string
}

func parseImageFilter(filters []string) (f imageFilter, err error) {
	for _, text := range filters {
		key, value, ok := strings.Cut(text, "=")
		switch {
		case ok && key == "dangling" && (value == "true" || value == "false"):
			yes := value == "true"
			f.dangling = &yes
		case ok && key == "reference" && value != "":
			f.references = append(f.references, value)
		default:
			return f, &line.UsageError{
				Command: "images", Problem: fmt.Sprintf("no filter %q", text), Advice: "the filters are dangling=true, dangling=false and reference=NAME[:TAG]",
			}
		}
	}
	return f, nil
}

// fits reports whether an image passes; ref is "" when no name means it.
func (f imageFilter) fits(ref string) bool {
	if f.dangling != nil && *f.dangling != (ref == "") {
		return false
	}
	for _, pattern := range f.references {
		if matches(ref, pattern) {
			return true
		}
	}
	return f.references == nil
}

// imageRow is what a --format template sees of an image: docker's fields.
type imageRow struct {
	Repository, Tag, ID, Digest, Platform, CreatedSince, CreatedAt, Size string
}

// imageTemplate reads a --format: a template for each line, with docker's fields and functions. "table " before it puts a
// heading above, and aligns.
func imageTemplate(text string) (t *template.Template, table bool, err error) {
	text, table = strings.CutPrefix(text, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	functions := template.FuncMap{"json": jsonOf, "lower": strings.ToLower, "upper": strings.ToUpper, "join": strings.Join, "split": strings.Split}
	t, err = template.New("").Funcs(functions).Parse(text)
	if err == nil {
		err = t.Execute(io.Discard, imageRow{})
	}
	if err != nil {
		return nil, false, &line.UsageError{
			Command: "images", Problem: "--format: " + strings.TrimPrefix(err.Error(), "template: "),
			Advice: "the fields are .Repository .Tag .ID .Digest .Platform .CreatedSince .CreatedAt .Size",
		}
	}
	return t, table, nil
}

func jsonOf(v any) (string, error) {
	raw, err := json.Marshal(v)
	return string(raw), err
}

// formatImages prints a line for each image by a template. What images say of themselves is escaped.
func formatImages(p *ui.Printer, list []imageSummary, format string, whole bool, now time.Time) error {
	t, table, err := imageTemplate(format)
	if err != nil {
		return err
	}
	rows := make([]imageRow, 0, len(list)+1)
	if table {
		rows = append(rows, imageRow{"REPOSITORY", "TAG", "IMAGE ID", "DIGEST", "PLATFORM", "CREATED", "CREATED AT", "SIZE"})
	}
	for _, i := range list {
		row := imageRow{ID: shortID(i.Digest, whole), Digest: i.Digest, Platform: ui.Escape(i.Platform), CreatedSince: "N/A", CreatedAt: "N/A", Size: ui.Size(i.Unpacked)}
		row.Repository, row.Tag = familiar(i.Ref)
		if i.Created != nil {
			row.CreatedSince, row.CreatedAt = ui.Ago(now, *i.Created), i.Created.Format("2006-01-02 15:04:05 -0700 MST")
		}
		rows = append(rows, row)
	}
	w := p.Raw()
	if table {
		aligned := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
		if err := executeRows(aligned, t, rows); err != nil {
			return err
		}
		return aligned.Flush()
	}
	return executeRows(w, t, rows)
}

func executeRows(w io.Writer, t *template.Template, rows []imageRow) error {
	for _, row := range rows {
		var b strings.Builder
		if err := t.Execute(&b, row); err != nil {
			return err
		}
		if _, err := io.WriteString(w, b.String()+"\n"); err != nil {
			return err
		}
	}
	return nil
}
