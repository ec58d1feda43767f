package job

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/spec"
)

// What is looked at of mounts is bounded: the metadata servers of a cluster have other things to do.
const (
	surveyFiles = 10_000          // in one mount
	surveyTime  = 2 * time.Second // for all of a run
	surveyGrace = 200 * time.Millisecond
)

// errTooMany says that a mount has more files than are looked at.
var errTooMany = errors.New("more files than are looked at")

// Fingerprint looks at what is mounted, without reading it. created is when the run was made, or the one that it is compared with. The
// error is nil for a whole one.
func Fingerprint(ctx context.Context, m record.Mount, created time.Time) (f record.Fingerprint, err error) {
	path, err := filepath.EvalSymlinks(m.Source)
	if err != nil {
		return f, err
	}
	seen := 0
	err = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > surveyFiles {
			return errTooMany
		}
		if entry.IsDir() {
			return ctx.Err()
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		if m.Mode == "rw" && !info.ModTime().Before(created) { // what the job itself has written
			return nil
		}
		f.Files++
		f.Bytes += info.Size()
		if t := info.ModTime().UTC(); t.After(f.Newest) {
			f.Newest = t
		}
		return nil
	})
	return f, err
}

// Fingerprinted reports whether a mount is of files of the host, which may be others the next time.
func Fingerprinted(m record.Mount) bool {
	return m.Source != "" && (m.Type == spec.Bind || m.Type == spec.Named)
}

// survey looks at the run's mounts beside the job. The function that it returns gives it a little time to end, and ends it.
func (a *attempt) survey() (end func() error) {
	run := a.writer.Run()
	ctx, cancel := context.WithTimeout(context.Background(), surveyTime)
	done := make(chan error, 1)
	if !a.firstRank() {
		cancel()
	}
	go func() {
		found := map[string]record.Fingerprint{}
		for _, m := range run.Mounts {
			if !Fingerprinted(m) || ctx.Err() != nil {
				continue
			}
			if f, err := Fingerprint(ctx, m, run.Created); err == nil { // else there is none: nothing can be compared with a part
				found[m.Target] = f
			}
		}
		if len(found) == 0 {
			done <- nil
			return
		}
		done <- a.writer.Fingerprints(found)
	}()
	return func() error {
		defer cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(surveyGrace): // a file system that does not answer, say: nobody waits for it
			return nil
		}
	}
}

// firstRank is false in all but one of the processes of a job that mount the same.
func (a *attempt) firstRank() bool {
	for _, name := range []string{"SLURM_PROCID", "PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK"} {
		for _, v := range a.Environ {
			if rank, ok := strings.CutPrefix(v, name+"="); ok && rank != "0" {
				return false
			}
		}
	}
	return true
}

// gitRecord is the working tree around a directory; nil for none.
func gitRecord(dir string) *record.Git {
	g, ok := host.FindGit(dir)
	if !ok {
		return nil
	}
	return &record.Git{Dir: g.Dir, Commit: g.Commit, Branch: g.Branch, Remote: g.Remote}
}
