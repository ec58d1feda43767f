package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// timesFile says when what is in output.log was printed: a line [SECONDS, OFFSET] each time that something was, seconds since 1970 and
// bytes of the output before it, dropped ones included. It is there once something has been printed.
const timesFile = "output.times"

// finer is how far apart two lines of it are at least, by how many there are: it is not to grow as the output does. In a year it comes
// to less than 100 MiB.
func finer(lines int) time.Duration {
	switch {
	case lines < 20_000:
		return time.Millisecond
	case lines < 100_000:
		return 100 * time.Millisecond
	case lines < 500_000:
		return time.Second
	}
	return 10 * time.Second
}

// stamps writes the times of a log. What cannot be written is missing, and no more.
type stamps struct {
	file  *os.File // nil: not made yet
	lines int
	last  time.Time
}

// add notes that what comes at an offset comes now.
func (s *stamps) add(dir string, offset int64, now time.Time) error {
	if s.lines > 0 && now.Sub(s.last) < finer(s.lines) {
		return nil
	}
	if s.file == nil {
		file, err := fsx.AppendFile(filepath.Join(dir, timesFile), 0o600)
		if err != nil {
			return err
		}
		s.file = file
	}
	line := append(strconv.AppendFloat([]byte("["), float64(now.UnixMicro())/1e6, 'f', 6, 64), ',')
	line = append(strconv.AppendInt(line, offset, 10), "]\n"...)
	if _, err := appendLine(s.file, line); err != nil {
		return err
	}
	s.lines++
	s.last = now
	return nil
}

func (s *stamps) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// times are those of a log, as far as they have been read.
type times struct {
	file    *os.File // nil: there is none yet
	rest    []byte   // the beginning of a line
	offsets []int64
	at      []time.Time
}

// read takes what has been written since.
func (t *times) read(dir string) error {
	if t.file == nil {
		file, err := fsx.OpenRegular(filepath.Join(dir, timesFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		t.file = file
	}
	text, err := io.ReadAll(t.file)
	if err != nil {
		return err
	}
	text = append(t.rest, text...)
	for {
		line, after, whole := bytes.Cut(text, []byte("\n"))
		if !whole {
			t.rest = bytes.Clone(text)
			return nil
		}
		var entry [2]float64
		if err := json.Unmarshal(line, &entry); err != nil {
			return fmt.Errorf("reading %s: %w: %w", t.file.Name(), ErrDamaged, err)
		}
		t.at = append(t.at, time.UnixMicro(int64(entry[0]*1e6+0.5)).UTC())
		t.offsets = append(t.offsets, int64(entry[1]))
		text = after
	}
}

// of is when the byte at an offset was printed; zero: nobody knows.
func (t *times) of(offset int64) time.Time {
	i := sort.Search(len(t.offsets), func(i int) bool { return t.offsets[i] > offset })
	if i == 0 {
		return time.Time{}
	}
	return t.at[i-1]
}

func (t *times) close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
