package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parts of the page that never change.
var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

// pointsMost bounds the points of all curves of a page, and so its size: each takes some 25 bytes.
const pointsMost = 40_000

// PagePoints is how many points a curve may have on a page of some runs, so that a page stays small and is drawn at once.
func PagePoints(runs int) int { return max(60, min(1000, pointsMost/(40*max(1, runs)))) }

// page is what the template sees. All text in it is escaped for the eye; the template escapes it for HTML.
type page struct {
	Title      string
	Policy     string
	Style      template.CSS
	Script     template.JS
	Job        *pageJob // nil: it is about no job of a batch scheduler
	Runs       []pageRun
	Charts     bool
	Metrics    []pageRow
	Provenance []pageRow
	Data       pageData
	Made       string
}

// pageRun is one of the runs.
type pageRun struct {
	Class   string // of its colour
	ID      string
	Name    string
	Mood    Mood
	Verdict string
	Facts   []string
	Why     string
	Advice  string
	Meters  []pageMeter
	Notes   []string
	Tail    string
}

type pageMeter struct {
	Name    string
	Percent string // "" for none
	Width   int    // of 100
	Text    string
}

// pageRow is a row of a table with a column for each run.
type pageRow struct {
	Name  string
	Cells []pageCell
	Apart bool // the runs differ
}

type pageCell struct{ Main, More string }

// pageData is what the script draws.
type pageData struct {
	Runs   []string    `json:"runs"`
	Charts []pageChart `json:"charts"`
}

type pageChart struct {
	Title string     `json:"title"`
	Unit  Unit       `json:"unit"`
	Limit float64    `json:"limit,omitempty"`
	Group string     `json:"group"`
	Lines []pageLine `json:"lines"`
}

type pageLine struct {
	Run  int      `json:"run"`
	Name string   `json:"name"`
	Kind int      `json:"kind"` // which of the chart's lines
	T    []digits `json:"t"`
	V    []digits `json:"v"`
	Low  []digits `json:"lo,omitempty"` // absent where all are as V
	High []digits `json:"hi,omitempty"`
	Step []digits `json:"s,omitempty"`
}

// digits is a number with as many digits as a picture needs.
type digits float64

// MarshalJSON implements json.Marshaler.
func (d digits) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d), 'g', 6, 64), nil
}

// HTML writes one self-contained page about runs: it asks nothing of any network, and runs no script but its own, whatever the
// records hold.
func HTML(out io.Writer, runs []Run, w Words, now time.Time) error {
	return write(out, nil, runs, w, now)
}

func write(out io.Writer, job *pageJob, runs []Run, w Words, now time.Time) error {
	script, style := pageScript, pageStyle
	p := page{
		Policy: fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; img-src data:; base-uri 'none'; form-action 'none'", hash(script), hash(style)),
		Job:    job,
		Style:  template.CSS(style), Script: template.JS(script), Made: w.Time(now), //nolint:gosec // our own files
	}
	var names []string
	for i := range runs {
		r := makePageRun(&runs[i], w, now)
		r.Class = fmt.Sprintf("c%d", i%colours)
		p.Runs = append(p.Runs, r)
		names = append(names, title(&runs[i], w))
	}
	p.Title = strings.Join(names, ", ")
	if job != nil {
		p.Title = job.Title
	}
	p.Metrics, p.Provenance = metricTable(runs, w), provenance(runs, w)
	p.Data = pageData{Runs: names, Charts: charts(runs, w)}
	p.Charts = len(p.Data.Charts) > 0
	page, err := template.New("page").Funcs(template.FuncMap{"json": jsonText}).Parse(pageText)
	if err == nil {
		err = page.Execute(out, p)
	}
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// colours is how many runs can be told apart.
const colours = 6

// hash allows one inline script or style (Content Security Policy level 2, section 4.2.5).
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// jsonText is JSON that may stand in a script element: the encoder escapes <, > and &.
func jsonText(v any) (template.JS, error) {
	raw, err := json.Marshal(v)
	return template.JS(raw), err //nolint:gosec // it is JSON
}

// title is what a run is called on the page.
func title(r *Run, w Words) string {
	if r.Name != "" {
		return w.Escape(r.Name)
	}
	return w.Escape(r.ID[:min(len(r.ID), 10)])
}

func makePageRun(r *Run, w Words, now time.Time) pageRun {
	verdict, mood := r.Verdict()
	p := pageRun{ID: w.Escape(r.ID), Name: title(r, w), Mood: mood, Verdict: w.Escape(verdict)}
	if mood != Good {
		p.Why, p.Advice = w.Escape(r.Message), w.Escape(r.Advice)
	}
	for _, fact := range []string{w.Time(r.Start()), durationPart(r, w, now), exitPart(r), hostPart(r), schedulerPart(r), gpusPart(r), gitPart(r)} {
		if fact != "" {
			p.Facts = append(p.Facts, w.Escape(fact))
		}
	}
	for _, m := range r.Meters(w, now) {
		meter := pageMeter{Name: w.Escape(m.Name), Text: w.Escape(m.Text)}
		if m.Share == m.Share { // a number
			meter.Percent, meter.Width = fmt.Sprintf("%.0f%%", 100*m.Share), int(100*min(1, max(0, m.Share)))
		}
		p.Meters = append(p.Meters, meter)
	}
	for _, n := range r.Notes(w, now) {
		p.Notes = append(p.Notes, w.Escape(n))
	}
	var tail []string
	for _, line := range r.Tail {
		tail = append(tail, w.Escape(strings.ReplaceAll(line, "\t", "    ")))
	}
	p.Tail = strings.Join(tail, "\n")
	return p
}

// charts are those of all runs, of one metric or one resource each: training first.
func charts(runs []Run, w Words) []pageChart {
	list := []pageChart{}
	add := func(chart pageChart, line pageLine) {
		i := slices.IndexFunc(list, func(c pageChart) bool { return c.Title == chart.Title && c.Group == chart.Group })
		if i < 0 {
			i, list = len(list), append(list, chart)
		}
		list[i].Lines = append(list[i].Lines, line)
	}
	for i := range runs {
		for _, s := range runs[i].Training {
			if len(s.Points) > 1 {
				add(pageChart{Title: w.Escape(s.Name), Group: "training"}, makeLine(i, 0, s, w))
			}
		}
	}
	for i := range runs {
		for _, c := range runs[i].System {
			for kind, s := range c.Lines {
				chart := pageChart{Title: c.Title, Unit: c.Unit, Group: "system"}
				if c.Title == "Memory" {
					chart.Limit = float64(runs[i].Limits.MemoryBytes)
				}
				if c.Title == "GPU memory" {
					chart.Limit = runs[i].gpuMemoryLimit()
				}
				if index, ok := gpuIndex(s.Name); ok { // one colour in all charts
					kind = index
				}
				add(chart, makeLine(i, kind, s, w))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b pageChart) int { return strings.Compare(b.Group, a.Group) })
	return list
}

func makeLine(run, kind int, s Series, w Words) pageLine {
	l := pageLine{Run: run, Name: w.Escape(s.Name), Kind: kind}
	spread, steps := false, false
	for _, p := range s.Points {
		spread = spread || p.Min != p.Mean || p.Max != p.Mean
		steps = steps || p.Step != 0 && p.Step == p.Step
	}
	for _, p := range s.Points {
		l.T, l.V = append(l.T, digits(p.T)), append(l.V, digits(p.Mean))
		if spread {
			l.Low, l.High = append(l.Low, digits(p.Min)), append(l.High, digits(p.Max))
		}
		if steps {
			if p.Step != p.Step {
				p.Step = -1
			}
			l.Step = append(l.Step, digits(p.Step))
		}
	}
	return l
}
