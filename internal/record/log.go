package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
)

// logFile holds the output; parts that do not fit are logFile.1, logFile.2 and so on until the run ends.
const logFile = "output.log"

// bounds says how much of the output is kept, in bytes.
type bounds struct {
	head, tail int64 // kept of the beginning and of the end
	part       int64 // size of one file of the rolling tail
}

// kept is DESIGN's default: a line of a traceback or a first warning is never far from the beginning or the end.
var kept = bounds{head: 10 << 20, tail: 90 << 20, part: 10 << 20}

// Log keeps the output of a job: all of it up to 100 MiB, else the first 10 and the last 90 MiB. What falls between is
// counted, and a line in output.log says how much it was.
//
// Known secrets are taken out. Nothing is buffered but what may be the beginning of one: what was written can be read at
// once, and memory does not grow with the output. Beyond 100 MiB the output goes on in output.log.1, output.log.2, ..., of
// which the oldest are removed as new ones fill; Close joins what is left. The greatest space taken is about 300 MiB, at the
// end of a run that printed much.
//
// Beside it, output.times says when what was printed.
//
// A Log is safe for use by several goroutines; each Write stays whole.
type Log struct {
	mu      sync.Mutex
	scrub   *scrubber
	dir     string
	keep    bounds
	file    *os.File // the part being written; nil when it could not be opened
	part    int      // its number, 0 for output.log
	first   int      // number of the oldest numbered part on disk
	size    int64    // of the part being written
	total   int64    // bytes taken in, without secrets
	lost    int64    // bytes that could not be written
	times   stamps   // of what is taken in
	yielded bool     // the room for the last words is given up
	err     error    // the first failure
	done    bool
}

func newLog(dir string, keep bounds, scrub *scrubber) (*Log, error) {
	f, err := fsx.AppendFile(filepath.Join(dir, logFile), 0o600)
	if err != nil {
		return nil, err
	}
	return &Log{scrub: scrub, dir: dir, keep: keep, file: f, first: 1}, nil
}

// Write appends to the log. Until Close it never fails and so never stops a job: what cannot be written, on a full disk
// say, counts as dropped, and Close returns the first reason.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return 0, os.ErrClosed
	}
	l.take(l.scrub.next(p))
	return len(p), nil
}

// take writes all of p, or counts what it cannot write.
func (l *Log) take(p []byte) {
	if len(p) > 0 {
		_ = l.times.add(l.dir, l.total-l.lost, time.Now()) // what has no time is there all the same
	}
	l.total += int64(len(p))
	for len(p) > 0 {
		n, err := l.write(p)
		p = p[n:]
		if err != nil && l.makeRoom(err) {
			continue
		}
		if err != nil {
			l.lost += int64(len(p))
			l.note(err)
			return
		}
	}
}

// makeRoom gives up the room for the last words, once, and reports whether it may help against an error.
func (l *Log) makeRoom(err error) bool {
	if l.yielded || !fsx.IsFull(err) {
		return false
	}
	l.yielded = true
	return yieldRoom(l.dir)
}

// note keeps the first failure for Close.
func (l *Log) note(err error) {
	if l.err == nil {
		l.err = err
	}
}

// write appends what fits into the current part, and takes a new one when it is full.
func (l *Log) write(p []byte) (int, error) {
	if room := l.limit() - l.size; room <= 0 || l.file == nil {
		if err := l.roll(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p[:min(int64(len(p)), l.limit()-l.size)])
	l.size += int64(n)
	return n, at(partPath(l.dir, l.part), err)
}

// limit is the size of the current part when full.
func (l *Log) limit() int64 {
	if l.part == 0 {
		return l.keep.head + l.keep.tail
	}
	return l.keep.part
}

// roll goes on in a new part and removes what can no longer belong to the tail. Only a part that cannot be made is an
// error: one that could not be closed, or removed, is no reason to lose what comes now.
func (l *Log) roll() error {
	if l.file != nil {
		l.note(l.file.Close())
		l.file = nil
	}
	f, err := fsx.AppendFile(partPath(l.dir, l.part+1), 0o600)
	if err != nil {
		return err
	}
	l.file, l.size = f, 0
	l.part++
	l.note(l.prune())
	return nil
}

// prune keeps as many full parts as make up the tail, and of output.log then only the head.
func (l *Log) prune() error {
	full := int((l.keep.tail + l.keep.part - 1) / l.keep.part)
	if l.part == full+1 {
		return fsx.Truncate(partPath(l.dir, 0), l.keep.head)
	}
	var errs []error
	for ; l.part-l.first > full; l.first++ {
		errs = append(errs, os.Remove(partPath(l.dir, l.first)))
	}
	return errors.Join(errs...)
}

// Close joins the parts into output.log and returns the first failure of this or of a write.
func (l *Log) Close() error {
	_, err := l.close()
	return err
}

// close also returns the counts. Closing again returns the same.
func (l *Log) close() (LogStat, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.take(l.scrub.rest())
		l.done = true
		_ = l.times.close()
		l.err = errors.Join(l.err, l.finish())
	}
	stat := LogStat{Bytes: l.total, Kept: l.total - l.lost}
	if l.part > 0 {
		stat.Kept = min(stat.Kept, l.keep.head+l.keep.tail)
	}
	stat.Dropped = stat.Bytes - stat.Kept
	if l.err != nil {
		return stat, fmt.Errorf("keeping the output: %w", l.err)
	}
	return stat, nil
}

// finish closes the part being written and joins the parts, where there are several.
func (l *Log) finish() (err error) {
	if l.file != nil {
		err = l.file.Close()
		l.file = nil
	}
	if l.part == 0 {
		return err
	}
	return errors.Join(err, joinLog(l.dir, l.keep, l.total-l.lost))
}

// partPath is the path of a part of the log in a record's directory.
func partPath(dir string, part int) string {
	path := filepath.Join(dir, logFile)
	if part > 0 {
		path += "." + strconv.Itoa(part)
	}
	return path
}
