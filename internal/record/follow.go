package record

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// CopyLog writes what the run has printed, as far as it is wanted. When it follows, it goes on until the run has ended or ctx is done.
// What the log has dropped is not there; while a run goes on, nothing says how much that was.
func (v View) CopyLog(ctx context.Context, w io.Writer, wants LogRange) (err error) {
	c := &logCopy{dir: v.Dir, w: w, keep: kept}
	if wants.timed() {
		c.lines = &timedLines{w: w, wants: wants}
		defer func() { err = errors.Join(err, c.lines.times.close()) }()
		if err := c.lines.begin(v.Dir); err != nil {
			return err
		}
	}
	if err := c.begin(wants.Lines); err != nil {
		return err
	}
	news := &changes{end: func() {}}
	if wants.Follow {
		news = v.changes(ctx)
	}
	defer news.end()
	for {
		ended := !wants.Follow || v.over() // what was printed before is there by now
		over := !wants.Until.IsZero() && time.Now().After(wants.Until)
		if err := c.rest(ended && wants.Follow); err != nil {
			return err
		}
		if ended || over || c.lines != nil && c.lines.past {
			return nil
		}
		if news.await(ctx, wants.Until); ctx.Err() != nil {
			return nil
		}
	}
}

// over reports whether the run has ended, with a result or without.
func (v View) over() bool { return hasResult(v.Dir) || v.Supervisor.Dead() }

// logCopy is how far a log has been copied.
type logCopy struct {
	dir  string
	w    io.Writer
	part int   // the file
	at   int64 // the place in it
	done int64 // bytes of all files

	keep  bounds
	lines *timedLines // nil: what was printed is wanted whenever that was
}

// begin finds the place from which the last lines come.
func (c *logCopy) begin(lines int) error {
	if lines < 0 {
		return nil
	}
	files, err := c.files()
	if err != nil {
		return err
	}
	for i := len(files) - 1; i >= 0; i-- {
		f := files[i]
		found, left, err := lastLines(f, lines, i == len(files)-1)
		if err != nil {
			return err
		}
		c.part, c.at = f.part, found
		if lines = left; lines <= 0 {
			break
		}
	}
	for _, f := range files { // all before it counts as copied
		switch {
		case f.part < c.part:
			c.done += f.size
		case f.part == c.part:
			c.done += c.at
		}
	}
	return nil
}

// logPart is one file of a log.
type logPart struct {
	path string
	part int
	size int64
}

// files are those of the log, in order. Those that are removed meanwhile are left out.
func (c *logCopy) files() (list []logPart, err error) {
	numbers, err := logNumbers(c.dir)
	if err != nil {
		return nil, err
	}
	for _, part := range append([]int{0}, numbers...) {
		path := partPath(c.dir, part)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, logPart{path, part, info.Size()})
	}
	return list, nil
}

// lastLines is where the last lines begin that a file has, the last one of all or one before it, and how many more there have to be
// before it. A line may go over from one file to the next.
func lastLines(f logPart, lines int, last bool) (at int64, left int, err error) {
	if lines == 0 {
		return f.size, 0, nil
	}
	file, err := fsx.OpenRegular(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, lines, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	block := make([]byte, 64<<10)
	for end := f.size; end > 0; {
		n := min(end, int64(len(block)))
		if _, err := file.ReadAt(block[:n], end-n); err != nil {
			return 0, 0, err
		}
		for i := n - 1; i >= 0; i-- {
			if block[i] != '\n' || last && end-n+i == f.size-1 { // the end of the last line begins none
				continue
			}
			if lines--; lines == 0 {
				return end - n + i + 1, 0, nil
			}
		}
		end -= n
	}
	return 0, lines, nil
}

// rest copies what has come since. Of a run that has ended, the files have been joined, and what is missing is the end of one.
func (c *logCopy) rest(joined bool) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	if joined && c.part > 0 && len(files) == 1 {
		result, err := readResult(c.dir)
		if err != nil || result == nil {
			return err
		}
		c.part, c.at = 0, max(0, files[0].size-max(0, result.Log.Bytes-c.done))
	}
	for _, f := range files {
		if f.part < c.part {
			continue
		}
		if f.part > c.part { // what lay between has been dropped, or copied
			c.part, c.at = f.part, 0
		}
		if err := c.copy(f); err != nil {
			return err
		}
	}
	return nil
}

// copy writes what a file has beyond what is copied.
func (c *logCopy) copy(f logPart) error {
	file, err := fsx.OpenRegular(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // dropped meanwhile
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if c.lines != nil {
		return c.copyLines(f, file)
	}
	n, err := io.Copy(c.w, io.NewSectionReader(file, c.at, max(0, f.size-c.at)))
	c.at += n
	c.done += n
	return err
}

// copyLines copies what of it is wanted.
func (c *logCopy) copyLines(f logPart, file *os.File) error {
	if err := c.lines.times.read(c.dir); err != nil { // they are written first
		return err
	}
	block := make([]byte, 64<<10)
	for c.at < f.size {
		offset, until, err := c.offset(f, c.at)
		if err != nil {
			return err
		}
		n, err := file.ReadAt(block[:min(int64(len(block)), until-c.at)], c.at)
		if n == 0 {
			return err
		}
		if err := c.lines.write(block[:n], offset); err != nil {
			return err
		}
		c.at += int64(n)
		c.done += int64(n)
	}
	return nil
}
