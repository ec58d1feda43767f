package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coracle-run/coracle/internal/record"
)

// Text is the page of a run in lines, at most width characters wide where that can be had. They hold what strangers wrote as it
// is: whoever prints them escapes them.
func Text(r *Run, w Words, width int, now time.Time) []string {
	t := &text{width: max(width, 60)}
	verdict, _ := r.Verdict()
	t.row("run "+strings.TrimSpace(r.ID+" "+r.Name), strings.ToUpper(verdict), hostPart(r))
	if r.Image.Ref != "" {
		t.row("image "+familiar(r), gitPart(r), schedulerPart(r))
	}
	t.row(gpusPart(r))
	t.row("started "+w.Time(r.Start()), durationPart(r, w, now), exitPart(r))
	t.line("")
	if r.State != record.Ended || r.Cause != record.Exited || r.ExitCode == nil || *r.ExitCode != 0 {
		t.wrap("", "", r.Message)
		t.wrap("", "", r.Advice)
		if r.Message+r.Advice != "" {
			t.line("")
		}
	}
	meters := r.Meters(w, now)
	for _, m := range meters {
		t.wrap(fmt.Sprintf("%-8s %s", m.Name, bar(m.Share)), strings.Repeat(" ", 9), m.Text)
	}
	t.training(r)
	if notes := r.Notes(w, now); len(notes) > 0 {
		t.line("")
		t.line("NOTES")
		for _, n := range notes {
			t.wrap(" *", "   ", n)
		}
	}
	return t.lines
}

// text gathers the lines of a page.
type text struct {
	width int
	lines []string
}

// line adds one; of two empty ones the second says nothing.
func (t *text) line(s string) {
	s = strings.TrimRight(s, " ")
	if n := len(t.lines); s != "" || n > 0 && t.lines[n-1] != "" {
		t.lines = append(t.lines, s)
	}
}

// row is some parts beside each other, or below where there is no room.
func (t *text) row(parts ...string) {
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	if len(parts) == 0 {
		return
	}
	const gap = "   "
	here := ""
	for _, p := range parts {
		if here != "" && utf8.RuneCountInString(here+gap+p) > t.width {
			t.line(here)
			here = "  " + p
			continue
		}
		here = strings.TrimPrefix(here+gap+p, gap)
	}
	t.line(here)
}

// wrap breaks text into lines, the first after a head, the others indented.
func (t *text) wrap(head, indent, s string) {
	if s == "" {
		return
	}
	here := head
	fresh := true
	for _, word := range strings.Fields(s) {
		if !fresh && utf8.RuneCountInString(here)+1+utf8.RuneCountInString(word) > t.width {
			t.line(here)
			here, fresh = indent+word, false
			continue
		}
		if here != "" && !strings.HasSuffix(here, "  ") {
			here += " "
		}
		here, fresh = here+word, false
	}
	t.line(here)
}

// bar shows a share of 1, as wide for all.
func bar(share float64) string {
	const width = 20
	if math.IsNaN(share) {
		return ""
	}
	percent := fmt.Sprintf("%.0f%%", 100*share)
	full := int(math.Round(min(1, max(0, share)) * (width - 4)))
	return "[" + strings.Repeat("|", full) + strings.Repeat(" ", max(0, width-full-len(percent))) + percent + "]"
}

// sparks are the levels of a curve that is one line high.
var sparks = []rune("▁▂▃▄▅▆▇█")

// spark draws a series in some characters.
func spark(s Series, width int) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range s.Points {
		low, high = min(low, p.Mean), max(high, p.Mean)
	}
	if len(s.Points) < 2 || low == high {
		return ""
	}
	var b strings.Builder
	width = min(width, len(s.Points))
	for i := range width {
		from, to := i*len(s.Points)/width, (i+1)*len(s.Points)/width
		sum := 0.0
		for _, p := range s.Points[from:to] {
			sum += p.Mean
		}
		level := (sum/float64(to-from) - low) / (high - low) * float64(len(sparks)-1)
		b.WriteRune(sparks[int(math.Round(level))])
	}
	return b.String()
}

// training shows the curves in short.
func (t *text) training(r *Run) {
	const most, width = 12, 24
	rows := metricRows(r)
	if len(rows) == 0 {
		return
	}
	t.line("")
	longest := 0
	for _, m := range rows[:min(most, len(rows))] {
		longest = max(longest, utf8.RuneCountInString(m.Name))
	}
	longest = min(longest, 30)
	for _, m := range rows[:min(most, len(rows))] {
		curve := ""
		if i := slices.IndexFunc(r.Training, func(s Series) bool { return s.Name == m.Name }); i >= 0 {
			curve = spark(r.Training[i], width)
		}
		parts := slices.DeleteFunc([]string{first(m), curve, Figure(m.Last), atStep(m), best(m)}, func(p string) bool { return p == "" })
		t.line(m.Name + strings.Repeat(" ", max(0, longest-utf8.RuneCountInString(m.Name))+2) + strings.Join(parts, " "))
	}
	if len(rows) > most {
		t.line(fmt.Sprintf("and %d more metrics: see 'coracle runs show'", len(rows)-most))
	}
	if rate := stepRate(r); rate > 0 {
		t.line(short(rate) + " steps a second")
	}
}

func first(m namedMetric) string {
	if m.Count < 2 {
		return ""
	}
	return Figure(m.First)
}

func atStep(m namedMetric) string {
	if m.Step == nil {
		return ""
	}
	return "(step " + Figure(*m.Step) + ")"
}

func best(m namedMetric) string {
	if m.Count < 3 || m.Min == nil || m.Max == nil {
		return ""
	}
	return fmt.Sprintf("from %s to %s", Figure(*m.Min), Figure(*m.Max))
}

// namedMetric is a metric with its name.
type namedMetric struct {
	Name string
	record.Metric
}

// metricRows are a run's metrics in the order of the names. Of one that still runs, the curves say what is known.
func metricRows(r *Run) (rows []namedMetric) {
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		rows = append(rows, namedMetric{name, r.Metrics[name]})
	}
	if len(rows) > 0 {
		return rows
	}
	for _, s := range r.Training {
		m := namedMetric{Name: s.Name}
		for _, p := range s.Points {
			m.Add(p.Mean, p.Step)
		}
		if m.Count > 0 {
			m.Count = s.Count
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b namedMetric) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

// stepRate is how many steps of training were made in a second; 0 where nobody says.
func stepRate(r *Run) float64 {
	for _, s := range r.Training {
		if len(s.Points) < 2 {
			continue
		}
		a, b := s.Points[0], s.Points[len(s.Points)-1]
		if rate := (b.Step - a.Step) / (b.T - a.T); rate > 0 && !math.IsInf(rate, 0) {
			return rate
		}
	}
	return 0
}

func hostPart(r *Run) string {
	if r.Host.Hostname == "" {
		return ""
	}
	return "host " + r.Host.Hostname
}

func familiar(r *Run) string {
	digest := r.Image.Digest
	if digest == "" || strings.Contains(r.Image.Ref, "@") {
		return r.Image.Ref
	}
	return r.Image.Ref + "@" + digest[:min(len(digest), len("sha256:")+12)]
}

func gitPart(r *Run) string {
	if r.Git == nil {
		return ""
	}
	return "git " + r.Git.Commit[:min(len(r.Git.Commit), 12)]
}

// schedulerPart names the batch job.
func schedulerPart(r *Run) string {
	for _, s := range [][2]string{{"SLURM_JOB_ID", "slurm"}, {"PBS_JOBID", "pbs"}, {"LSB_JOBID", "lsf"}, {"FLUX_JOB_ID", "flux"}} {
		if id := r.Scheduler[s[0]]; id != "" {
			return s[1] + " " + id
		}
	}
	return ""
}

func durationPart(r *Run, w Words, now time.Time) string {
	wall := r.Seconds(now)
	text := w.Duration(time.Duration(wall * 1e9))
	if limit := r.timeLimit(); limit > 0 {
		text += fmt.Sprintf(" (%.0f%% of its limit, %s)", 100*wall/limit, w.Duration(time.Duration(limit*1e9)))
	}
	if r.State == record.Running {
		return "for " + text + " so far"
	}
	return "took " + text
}

func exitPart(r *Run) string {
	if r.ExitCode == nil {
		return ""
	}
	return fmt.Sprintf("exit %d", *r.ExitCode)
}
