package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/cmd/coracle/template"
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

// imageFormat reads the --format of images.
func imageFormat(text string) (template.Rows[imageRow], error) {
	return template.ParseRows[imageRow]("images", text, ".Repository .Tag .ID .Digest .Platform .CreatedSince .CreatedAt .Size")
}

// formatImages prints a line for each image by a template. What images say of themselves is escaped.
func formatImages(p *ui.Printer, list []imageSummary, format string, whole bool, now time.Time) error {
	f, err := imageFormat(format)
	if err != nil {
		return err
	}
	rows := make([]imageRow, 0, len(list))
	for _, i := range list {
		row := imageRow{ID: shortID(i.Digest, whole), Digest: i.Digest, Platform: ui.Escape(i.Platform), CreatedSince: "N/A", CreatedAt: "N/A", Size: ui.Size(i.Unpacked)}
		row.Repository, row.Tag = familiar(i.Ref)
		if i.Created != nil {
			row.CreatedSince, row.CreatedAt = ui.Ago(now, *i.Created), i.Created.Format("2006-01-02 15:04:05 -0700 MST")
		}
		rows = append(rows, row)
	}
	return f.Print(p, imageRow{"REPOSITORY", "TAG", "IMAGE ID", "DIGEST", "PLATFORM", "CREATED", "CREATED AT", "SIZE"}, rows)
}
