package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is everything that was measured, as -json prints it.
type report struct {
	Machine string  `json:"machine"`
	Tables  []table `json:"tables"`
}

// table is one comparison.
type table struct {
	Name      string  `json:"name"`
	Subject   string  `json:"subject"`
	Reference string  `json:"reference"`      // the contender whose ratio is 1
	Peer      string  `json:"peer,omitempty"` // the one whose peer_ratio is 1
	Rounds    int     `json:"rounds"`
	Content   int64   `json:"content_bytes,omitempty"` // of the image, compressed and unpacked
	Rows      []row   `json:"rows"`
	Skipped   []skip  `json:"skipped,omitempty"`
	Budget    []phase `json:"budget,omitempty"`

	columns []column
}

// row is one contender: medians over the rounds, except where said. Times are milliseconds, all else bytes.
type row struct {
	Name         string  `json:"name"`
	Wall         float64 `json:"wall_ms"`
	P90          float64 `json:"p90_ms"`
	Min          float64 `json:"min_ms"`
	Ratio        float64 `json:"ratio"`      // of the medians; 0: no reference
	PeerRatio    float64 `json:"peer_ratio"` // likewise
	User         float64 `json:"user_ms"`
	System       float64 `json:"system_ms"`
	Later        float64 `json:"later_ms"`        // user and system, after the command had ended
	CPU          float64 `json:"cpu_ms"`          // all three
	CPURatio     float64 `json:"cpu_ratio"`       // of the medians; 0: no reference
	Own          int64   `json:"own_peak_bytes"`  // largest seen, of the process that was started
	Tree         int64   `json:"tree_peak_bytes"` // largest seen, of it and its descendants
	Written      int64   `json:"written_bytes"`
	WrittenRatio float64 `json:"written_ratio"` // to the image, compressed and unpacked; 0: not known
	Disk         int64   `json:"disk_bytes"`
	Served       int64   `json:"served_bytes"`
}

type skip struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// newRow sums up: times of the timed samples, memory of the watched ones.
func newRow(name string, timed, watched []sample) row {
	wall := series(timed, func(s sample) float64 { return milliseconds(s.wall) })
	middle := func(of func(sample) float64) float64 { return median(series(timed, of)) }
	largest := func(of func(sample) float64) int64 { return int64(percentile(series(watched, of), 1)) }
	return row{
		Name:    name,
		Wall:    median(wall),
		P90:     percentile(wall, 0.9),
		Min:     percentile(wall, 0),
		User:    middle(func(s sample) float64 { return milliseconds(s.user) }),
		System:  middle(func(s sample) float64 { return milliseconds(s.system) }),
		Later:   middle(func(s sample) float64 { return milliseconds(s.later) }),
		CPU:     middle(func(s sample) float64 { return milliseconds(s.user + s.system + s.later) }),
		Own:     largest(func(s sample) float64 { return float64(s.own) }),
		Tree:    largest(func(s sample) float64 { return float64(s.tree) }),
		Written: int64(middle(func(s sample) float64 { return float64(s.written) })),
		Disk:    int64(middle(func(s sample) float64 { return float64(s.disk) })),
		Served:  int64(middle(func(s sample) float64 { return float64(s.served) })),
	}
}

// compare fills in the ratios.
func (t *table) compare() {
	walls, cpus := map[string]float64{}, map[string]float64{}
	for _, r := range t.Rows {
		walls[r.Name], cpus[r.Name] = r.Wall, r.CPU
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		r.Ratio, r.PeerRatio = ratio(r.Wall, walls[t.Reference]), ratio(r.Wall, walls[t.Peer])
		r.CPURatio = ratio(r.CPU, cpus[t.Reference])
		r.WrittenRatio = ratio(float64(r.Written), float64(t.Content))
	}
}

func (r report) json() string {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(err) // numbers and strings only: ratio never divides by zero
	}
	return string(raw) + "\n"
}

func (r report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n%s: %s\n", t.Name, t.Subject)
		if len(t.Rows) > 0 {
			fmt.Fprintf(&b, "(%d interleaved rounds)\n\n", t.Rounds)
		}
		b.WriteString(t.text())
		for _, s := range t.Skipped {
			fmt.Fprintf(&b, "skipped %s: %s\n", s.Name, s.Reason)
		}
		b.WriteString(budgetText(t.Budget))
	}
	return b.String()
}

// text is the rows in aligned columns.
func (t table) text() string {
	if len(t.Rows) == 0 {
		return ""
	}
	header := []string{""}
	for _, c := range t.columns {
		header = append(header, c.title)
	}
	lines := [][]string{header}
	for _, r := range t.Rows {
		cells := []string{r.Name}
		for _, c := range t.columns {
			cells = append(cells, c.of(r))
		}
		lines = append(lines, cells)
	}
	return align(lines)
}

// align pads cells to columns, the first one on the right and the others on the left.
func align(lines [][]string) string {
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, cells := range lines {
		fmt.Fprintf(&b, "%-*s", widths[0], cells[0])
		for i, cell := range cells[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// machine says what was measured on, as far as it matters to others.
func machine() string {
	var name unix.Utsname
	kernel := "unknown kernel"
	if err := unix.Uname(&name); err == nil {
		kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	return fmt.Sprintf("%s, %s, %d CPUs, %s", kernel, runtime.GOARCH, runtime.NumCPU(), time.Now().UTC().Format("2006-01-02 15:04 MST"))
}
