package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/coracle-run/coracle/internal/record"
)

// Run is a run with its series and the end of its output.
type Run struct {
	record.View
	Training []Series // in the order of the first values
	System   []Chart
	GPUs     []GPU
	Now      map[string]float64 // the last of each counter and gauge of system.jsonl, by its name
	Most     map[string]float64 // the greatest of each gauge
	Tail     []string           // the last lines of the output
	End      float64            // seconds since the start of the last point
	sampled  float64            // seconds since the start of the last line of system.jsonl
	Unread   int                // lines of series that are none
}

// Chart is what one picture shows: curves in one unit.
type Chart struct {
	Title string
	Unit  Unit
	Lines []Series
}

// Unit says what the numbers of a chart are.
type Unit string

// The units.
const (
	Plain   Unit = ""
	Cores   Unit = "cores"
	Bytes   Unit = "bytes"
	PerSec  Unit = "bytes/s"
	Percent Unit = "%"
	Watts   Unit = "W"
	Celsius Unit = "°C"
)

// Limits of what is read of a record: a job may say more than anyone reads.
const (
	seriesMost = 60       // training curves; of the others the summary says
	lineMost   = 1 << 20  // bytes of a line of a series
	tailBytes  = 64 << 10 // of the output
)

// Read reads what is beside a run's record. points bounds each series, lines the end of the output.
func Read(v record.View, points, lines int) (Run, error) {
	r := Run{View: v, Now: map[string]float64{}, Most: map[string]float64{}}
	training := newTrainingReader(points)
	system := newSystemReader(points)
	for name, take := range map[string]func([]byte) error{record.MetricsFile: training.line, record.SystemFile: system.line} {
		bad, err := eachLine(filepath.Join(v.Dir, name), take)
		if err != nil {
			return r, fmt.Errorf("reading the series of run %s: %w", v.ID, err)
		}
		r.Unread += bad
	}
	r.Training = training.series()
	system.result(&r)
	for _, s := range r.Training {
		if n := len(s.Points); n > 0 {
			r.End = max(r.End, s.Points[n-1].T)
		}
	}
	var err error
	if r.Tail, err = tail(v.Dir, lines); err != nil {
		return r, fmt.Errorf("reading the output of run %s: %w", v.ID, err)
	}
	return r, nil
}

// eachLine calls take for each whole line of a file, and counts those that it refuses. A file that is not there has no lines; a
// last line without an end is being written.
func eachLine(path string, take func([]byte) error) (bad int, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, lineMost)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			bad++
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return bad, err
			}
		case errors.Is(err, io.EOF):
			return bad, nil
		case err != nil:
			return bad, err
		default:
			if len(bytes.TrimSpace(line)) > 0 && take(line) != nil {
				bad++
			}
		}
	}
}

// trainingReader reads metrics.jsonl.
type trainingReader struct {
	points int
	folds  map[string]*fold
	order  []*fold
}

func newTrainingReader(points int) *trainingReader {
	return &trainingReader{points: points, folds: map[string]*fold{}}
}

func (r *trainingReader) line(raw []byte) error {
	var l struct {
		T      float64                  `json:"t"`
		Step   *record.Number           `json:"step"`
		Values map[string]record.Number `json:"values"`
	}
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	step := math.NaN()
	if l.Step != nil {
		step = float64(*l.Step)
	}
	for _, name := range union(l.Values, nil) {
		f := r.folds[name]
		if f == nil {
			if len(r.order) == seriesMost {
				continue
			}
			f = newFold(name, r.points)
			r.folds[name], r.order = f, append(r.order, f)
		}
		v := float64(l.Values[name])
		f.add(Point{T: l.T, Mean: v, Min: v, Max: v, Step: step})
	}
	return nil
}

func (r *trainingReader) series() (list []Series) {
	for _, f := range r.order {
		list = append(list, f.series)
	}
	return list
}

// tail is the last lines of a run's output, without colours; of a progress bar what it said last.
func tail(dir string, lines int) ([]string, error) {
	text, err := record.ReadTail(dir, tailBytes)
	if err != nil || text == "" {
		return nil, err
	}
	all := strings.Split(strings.TrimSuffix(plain(text), "\n"), "\n")
	for i, line := range all {
		line = strings.TrimRight(line, "\r")
		all[i] = line[strings.LastIndexByte(line, '\r')+1:]
	}
	return all[max(0, len(all)-lines):], nil
}
