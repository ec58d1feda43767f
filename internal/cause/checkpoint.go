package cause

import (
	"fmt"
	"path"

	"github.com/coracle-run/coracle/internal/record"
)

// TimeLeft is what asks for a checkpoint when no signal does.
const TimeLeft = "time-left"

// saving is why a job ended that had been asked to save its work.
func (e Evidence) saving() Verdict {
	s := e.Checkpoint
	text := "The job was asked to save its work by " + s.Signal
	if s.Why == TimeLeft {
		text += " before its time was over"
	} else {
		text += ", after " + s.Why + " had come"
	}
	switch s.Forced {
	case "":
		text += fmt.Sprintf(", and ended %.1f s later with status %d", s.Seconds, e.Exit.Code)
	default:
		text += fmt.Sprintf(", and was ended by %s %.1f s later", s.Forced, s.Seconds)
	}
	switch n := len(s.Files) + s.More; {
	case n > 0:
		text += fmt.Sprintf("; it has written %s (%s) to its volumes since.", files(n), path.Base(s.Files[0].Path))
	default:
		text += "; no file on its volumes has changed since."
	}
	advice := "It can go on from what it has saved."
	if e.Batch != "" {
		return Verdict{record.Preempted, text, advice + " With --exit-code preempted=N a batch script can tell that it should be put back into the queue."}
	}
	return Verdict{record.Stopped, text, advice}
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
