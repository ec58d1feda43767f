package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// LogRange says what of a log is wanted. Lines are counted first, from the end, and then looked at for their times.
type LogRange struct {
	Lines  int  // the last so many; below 0: all
	Follow bool // go on as the run prints

	Since, Until time.Time // when lines were begun to be printed; zero: whenever
	Stamps       bool      // say so in front of each
}

// timed reports whether it takes the times of lines.
func (r LogRange) timed() bool { return r.Stamps || !r.Since.IsZero() || !r.Until.IsZero() }

// ErrNoTimes is returned for the log of a record that an earlier Coracle has written.
var ErrNoTimes = errors.New("the record does not say when its output was printed")

// stampLayout is docker's: of one width.
const stampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// timedLines writes those lines of a log that are wanted.
type timedLines struct {
	w     io.Writer
	wants LogRange
	times times

	inside bool // of a line, that is or is not
	shown  bool
	past   bool // a line was begun after Until
}

// begin makes sure that there are times.
func (l *timedLines) begin(dir string) error {
	if err := l.times.read(dir); err != nil {
		return err
	}
	info, err := os.Stat(partPath(dir, 0))
	if l.times.file == nil && err == nil && info.Size() > 0 {
		if err := l.times.read(dir); err != nil || l.times.file != nil { // they are written first, and may just have been
			return err
		}
		return ErrNoTimes
	}
	return nil
}

// write takes text that begins at an offset of the output.
func (l *timedLines) write(text []byte, offset int64) error {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		if err := l.part(text[:end], offset); err != nil {
			return err
		}
		l.inside = text[end-1] != '\n'
		text, offset = text[end:], offset+int64(end)
	}
	return nil
}

// part takes a line, or a part of one.
func (l *timedLines) part(text []byte, offset int64) error {
	if !l.inside {
		at := l.times.of(offset)
		l.past = l.past || !l.wants.Until.IsZero() && !at.Before(l.wants.Until)
		l.shown = !l.past && !at.Before(l.wants.Since)
		if l.shown && l.wants.Stamps {
			if _, err := io.WriteString(l.w, at.Format(stampLayout)+" "); err != nil {
				return err
			}
		}
	}
	if !l.shown {
		return nil
	}
	_, err := l.w.Write(text)
	return err
}

// offset is where in the output a place of a file of a log is, and how far that goes on so: a joined log has a gap.
func (c *logCopy) offset(f logPart, at int64) (offset, until int64, err error) {
	if f.part > 0 {
		return c.keep.head + c.keep.tail + int64(f.part-1)*c.keep.part + at, f.size, nil
	}
	if f.size <= c.keep.head+c.keep.tail || at < c.keep.head { // a joined log of several is longer, by what stands in the gap
		if f.size > c.keep.head+c.keep.tail {
			return at, c.keep.head, nil
		}
		return at, f.size, nil
	}
	length, missing, err := readGap(f.path, c.keep.head)
	if err != nil {
		return 0, 0, err
	}
	if at < c.keep.head+length {
		return c.keep.head, c.keep.head + length, nil
	}
	return at - length + missing, f.size, nil
}

// readGap reads the line that stands in the gap of a joined log: how long it is, and how much is missing.
func readGap(path string, at int64) (length, missing int64, err error) {
	file, err := fsx.OpenRegular(path)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	line := make([]byte, len(gapLine)+20)
	n, err := file.ReadAt(line, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(string(line[:n]), gapLine, &missing); err != nil {
		return 0, 0, nil // it is the job's own output
	}
	return int64(len(fmt.Sprintf(gapLine, missing))), missing, nil
}
