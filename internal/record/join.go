package record

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// gapLine stands in output.log between the beginning and the end of an output of which the middle is not kept.
const gapLine = "\n[coracle: %d bytes of output are not kept]\n"

// joinLog makes one output.log of the parts of a log: the head, a line that says how much is missing, and the tail. total
// is the number of bytes that were written to all the parts, removed ones included, or less than 0 when nobody knows any
// more: the line then counts only what it finds too much. Until the joined file is renamed into place the parts stay, so
// a failure loses nothing and the call can be repeated.
//
// Several processes may join one log at a time. The order makes that safe without a lock: parts are listed, then
// output.log is opened, then the parts, and they go only after the rename. Who opened the old output.log and every part
// writes the same bytes as the others; who came later finds a part missing, which is an error, or the joined file.
func joinLog(dir string, keep bounds, total int64) error {
	parts, err := logParts(dir)
	if err != nil || len(parts) == 0 {
		return err
	}
	sources, err := openParts(append([]string{partPath(dir, 0)}, parts...))
	defer func() {
		for _, f := range sources {
			_ = f.file.Close() // only read from
		}
	}()
	if len(sources) == 0 {
		return err
	}
	// A joined log is longer than its parts may be, by the line in the gap: an earlier call was cut off after its rename,
	// or another is about to remove the parts.
	if sources[0].size <= keep.head+keep.tail {
		if err != nil {
			return err
		}
		if err := writeJoined(dir, keep, total, sources); err != nil {
			return err
		}
	}
	return removeAll(parts)
}

// writeJoined writes the joined file and renames it over output.log. It keeps the time of the last write, which may be all
// that tells when a run ended.
func writeJoined(dir string, keep bounds, total int64, sources []source) error {
	var length int64
	var last time.Time
	for _, s := range sources {
		length += s.size
		if s.modified.After(last) {
			last = s.modified
		}
	}
	head := min(sources[0].size, keep.head)
	excess := max(0, length-head-keep.tail)
	missing := excess
	if total >= 0 {
		missing += total - length
	}

	tmp, err := tmpOf(dir)
	if err != nil {
		return err
	}
	name, err := fsx.TempName()
	if err != nil {
		return err
	}
	path := filepath.Join(tmp, name)
	out, err := fsx.CreateExclusive(path, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(copyJoined(out, sources, head, excess, missing), out.Sync(), out.Close())
	if err == nil {
		err = os.Chtimes(path, last, last)
	}
	if err == nil {
		err = fsx.Rename(path, partPath(dir, 0))
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// copyJoined copies head bytes of the first source, then skips excess bytes, then copies the rest of all.
func copyJoined(out *os.File, sources []source, head, excess, missing int64) error {
	if _, err := io.CopyN(out, sources[0].file, head); err != nil {
		return err
	}
	if missing > 0 {
		if _, err := fmt.Fprintf(out, gapLine, missing); err != nil {
			return err
		}
	}
	for _, s := range sources {
		f := s.file
		here, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		skip := min(excess, s.size-here)
		excess -= skip
		if _, err := f.Seek(here+skip, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(out, f); err != nil {
			return err
		}
	}
	return nil
}

// logParts are the numbered parts on disk, oldest first.
func logParts(dir string) (paths []string, err error) {
	numbers, err := logNumbers(dir)
	for _, n := range numbers {
		paths = append(paths, partPath(dir, n))
	}
	return paths, err
}

// logNumbers are their numbers.
func logNumbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), logFile+".%d", &n); err == nil && partPath(dir, n) == filepath.Join(dir, e.Name()) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// written is how much went to the parts of a log whose writer is gone: all before the last are, or were, full. Less than 0: nobody
// knows.
func written(dir string, keep bounds) int64 {
	numbers, err := logNumbers(dir)
	if err != nil || len(numbers) == 0 {
		return -1
	}
	last := numbers[len(numbers)-1]
	info, err := os.Stat(partPath(dir, last))
	if err != nil {
		return -1
	}
	return keep.head + keep.tail + int64(last-1)*keep.part + info.Size()
}

// source is a part that is open for reading, as it was when it was opened: its writer is gone.
type source struct {
	file     *os.File
	size     int64
	modified time.Time
}

// openParts opens files for reading, one after another. Those opened before an error are returned with it.
func openParts(paths []string) (sources []source, err error) {
	for _, path := range paths {
		f, err := fsx.OpenRegular(path)
		if err != nil {
			return sources, err
		}
		info, err := f.Stat()
		if err != nil {
			return sources, errors.Join(err, f.Close())
		}
		sources = append(sources, source{file: f, size: info.Size(), modified: info.ModTime()})
	}
	return sources, nil
}

// removeAll removes files; another joiner may have been first.
func removeAll(paths []string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, fsx.IgnoreMissing(os.Remove(path)))
	}
	return errors.Join(errs...)
}
