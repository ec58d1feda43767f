package job

import (
	"context"
	"time"

	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/fingerprint"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
)

// surveyGrace is how long a run waits at its end for a survey that has not ended.
const surveyGrace = 200 * time.Millisecond

// survey looks at the run's mounts beside the job. The function that it returns gives it a little time to end, and ends it.
func (a *attempt) survey() (end func() error) {
	run := a.writer.Run()
	ctx, cancel := context.WithTimeout(context.Background(), fingerprint.Patience)
	done := make(chan error, 1)
	if !a.firstRank() {
		cancel()
	}
	go func() {
		found := map[string]record.Fingerprint{}
		for _, m := range run.Mounts {
			if !fingerprint.Has(m) || ctx.Err() != nil {
				continue
			}
			if f, err := fingerprint.Of(ctx, m, run.Created); err == nil { // else there is none: nothing can be compared with a part
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
		if rank, ok := env.Lookup(a.Environ, name); ok && rank != "0" {
			return false
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
