package record

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/internal/fsx"
)

// Tail is the last of what the job has printed so far, at most some bytes; "" when it cannot be read.
func (l *Log) Tail(most int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	file, err := fsx.OpenRegular(partPath(l.dir, l.part))
	if err != nil {
		return ""
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, l.size-most), most))
	if err != nil {
		return ""
	}
	return string(text)
}

// ReadTail is the last of what the run in a record's directory has printed, at most some bytes, while it runs and after. A first line
// that is cut is left out.
func ReadTail(dir string, most int64) (string, error) {
	parts, err := logParts(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text := ""
	for _, path := range slices.Backward(append([]string{partPath(dir, 0)}, parts...)) {
		more, err := readEnd(path, most-int64(len(text)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // joined, or no longer kept
		}
		if err != nil {
			return "", err
		}
		if text = more + text; int64(len(text)) >= most {
			return text[strings.IndexByte(text, '\n')+1:], nil
		}
	}
	return text, nil
}

// readEnd is the end of a file.
func readEnd(path string, most int64) (string, error) {
	file, err := fsx.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-most), most))
	return string(text), err
}
