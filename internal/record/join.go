package record

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/coracle-run/coracle/internal/fsx"
)

// gapLine stands in output.log between the beginning and the end of an output of which the middle is not kept.
const gapLine = "\n[coracle: %d bytes of output are not kept]\n"

// joinLog makes one output.log of the parts of a log: the head, a line that says how much is missing, and the tail. total
// is the number of bytes that were written to all the parts, removed ones included, or less than 0 when nobody knows any
// more: the line then counts only what it finds too much. Until the joined file is renamed into place the parts stay, so
// a failure loses nothing and the call can be repeated.
func joinLog(dir string, keep bounds, total int64) error {
	parts, err := logParts(dir)
	if err != nil || len(parts) == 0 {
		return err
	}
	head := partPath(dir, 0)
	info, err := os.Stat(head)
	if err != nil {
		return err
	}
	// A joined log is longer than its parts may be, by the line in the gap: an earlier call was cut off after its rename.
	if info.Size() <= keep.head+keep.tail {
		if err := writeJoined(dir, keep, total, info.Size(), parts); err != nil {
			return err
		}
	}
	return removeAll(parts)
}

// writeJoined writes the joined file and renames it over output.log, which is size bytes long.
func writeJoined(dir string, keep bounds, total, size int64, parts []string) error {
	sources, length, err := openParts(append([]string{partPath(dir, 0)}, parts...))
	defer func() {
		for _, f := range sources {
			_ = f.Close() // only read from
		}
	}()
	if err != nil {
		return err
	}
	afterHead := length - min(size, keep.head)
	excess := max(0, afterHead-keep.tail)
	missing := excess
	if total >= 0 {
		missing += total - length
	}

	path := filepath.Join(dir, logFile+".joined")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := fsx.AppendFile(path, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(copyJoined(out, sources, min(size, keep.head), excess, missing), out.Sync(), out.Close())
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return fsx.Rename(path, partPath(dir, 0))
}

// copyJoined copies head bytes of the first source, then skips excess bytes, then copies the rest of all.
func copyJoined(out *os.File, sources []*os.File, head, excess, missing int64) error {
	if _, err := io.CopyN(out, sources[0], head); err != nil {
		return err
	}
	if missing > 0 {
		if _, err := fmt.Fprintf(out, gapLine, missing); err != nil {
			return err
		}
	}
	for _, f := range sources {
		here, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		end, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		skip := min(excess, end-here)
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
func logParts(dir string) ([]string, error) {
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
	paths := make([]string, len(numbers))
	for i, n := range numbers {
		paths[i] = partPath(dir, n)
	}
	return paths, nil
}

// openParts opens files for reading and adds up their sizes. The files opened are returned with an error too.
func openParts(paths []string) (files []*os.File, length int64, err error) {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return files, 0, err
		}
		files = append(files, f)
		info, err := f.Stat()
		if err != nil {
			return files, 0, err
		}
		length += info.Size()
	}
	return files, length, nil
}

func removeAll(paths []string) error {
	var errs []error
	for _, path := range paths {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
