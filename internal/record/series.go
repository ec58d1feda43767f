package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coracle-run/coracle/internal/fsx"
)

// The files of series in a record's directory.
const (
	SystemFile  = "system.jsonl"
	MetricsFile = "metrics.jsonl"
)

// Series is a file of JSON lines that grows during a run. It is made with its first line: of a short run there is none.
type Series struct {
	writer *Writer
	name   string
	most   int64
	size   int64
	file   *os.File
}

// ErrSeriesFull is returned for lines that are beyond the size of a series.
var ErrSeriesFull = errors.New("the series is full")

// Series begins a file of the record of at most some bytes. It ends with Finish, which also waits for the disk.
func (w *Writer) Series(name string, most int64) *Series {
	s := &Series{writer: w, name: name, most: most}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.series = append(w.series, s)
	return s
}

// Write appends one line with its line end. It is not looked through for secrets, see Redact.
func (s *Series) Write(line []byte) error {
	w := s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return fmt.Errorf("recording %s: %w", s.name, ErrFinished)
	}
	if s.size+int64(len(line)) > s.most {
		return fmt.Errorf("recording %s: %w", s.name, ErrSeriesFull)
	}
	if s.file == nil {
		file, err := fsx.AppendFile(filepath.Join(w.dir, s.name), 0o600)
		if err != nil {
			return fmt.Errorf("recording %s: %w", s.name, err)
		}
		s.file = file
	}
	n, err := appendLine(s.file, line)
	s.size += int64(n)
	if err != nil {
		return fmt.Errorf("recording %s: %w", s.name, err)
	}
	return nil
}

// Redact takes the run's known secrets out of a text that a job has given.
func (w *Writer) Redact(text string) string { return w.secret.text(text) }

// closeSeries ends all series.
func (w *Writer) closeSeries() error {
	var errs []error
	for _, s := range w.series {
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}
