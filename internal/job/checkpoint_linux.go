package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Checkpoint is how a job is asked to save its work before it has to end. The zero value: it is not.
type Checkpoint struct {
	Signal string        // by name or number; "": there is none
	Before time.Duration // the end of the job's time, at which it is asked; 0: when a signal asks the job to end
}

// check reads the signal.
func (c Checkpoint) check() (syscall.Signal, error) {
	switch {
	case c.Signal == "" && c.Before != 0:
		return 0, fmt.Errorf("%w: --checkpoint-before says when, and --checkpoint-signal has to say by which signal", spec.ErrOption)
	case c.Signal == "":
		return 0, nil
	}
	sig, ok := parseSignal(c.Signal)
	if !ok || sig == unix.SIGKILL || sig == unix.SIGSTOP {
		return 0, fmt.Errorf("%w: --checkpoint-signal %q is no signal that a job can handle", spec.ErrOption, c.Signal)
	}
	if slices.Contains(ownSignals, sig) {
		return 0, fmt.Errorf("%w: --checkpoint-signal %q would not be told from those that come to this program for reasons of its own; USR1 and USR2 are", spec.ErrOption, c.Signal)
	}
	return sig, nil
}

// ownSignals are sent to this process by its runtime (Go's asyncPreempt, glibc's SIGCANCEL and SIGSETXID) and by the kernel, for its own
// children and pipes.
var ownSignals = []syscall.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGPIPE, 32, 33}

// timeLeft is what asks for a checkpoint when no signal does.
const timeLeft = "time-left"

// endGrace is how long a job has from SIGTERM to SIGKILL that has had its time for a checkpoint before.
const endGrace = 10 * time.Second

// saving is how a job was asked to save its work.
type saving struct {
	why     string // a signal's name, or timeLeft
	signal  syscall.Signal
	asked   time.Time
	since   time.Time // may the job have saved its work
	targets []record.Target
	forced  string // SIGTERM or SIGKILL, when it had to be ended so
	saved   record.Checkpoint
}

// together is how long the signals of who signals all processes take to come to two of them.
const together = 30 * time.Millisecond

// askedToSave asks the job to save its work because of a signal, which may be the very one that it is asked by. False: none of its
// processes would handle that, or none was to be asked.
func (s *supervision) askedToSave(by os.Signal) bool {
	sig, ok := by.(syscall.Signal)
	if !ok || s.save == 0 || s.saving != nil || sig != s.save && !asks(by) {
		return false
	}
	came := time.Now()
	everybody := s.everybodyHas(sig)
	if sig == s.save && s.ended() {
		s.saving = s.has(signalName(sig))
		return true
	}
	if !s.ask(signalName(sig), everybody && sig == s.save) {
		return false
	}
	if everybody {
		s.saving.early(came)
		_ = s.box.Signal(sig) // PID 1 now knows that it came both ways, and is nobody's
	}
	return true
}

// has is what is known of a job when it has got the signal before its supervisor knew of that, but for who of it had.
func (s *supervision) has(why string) *saving {
	had := s.asks(why)
	had.early(had.asked)
	return had
}

func (s *supervision) asks(why string) *saving {
	now := time.Now()
	return &saving{why: why, signal: s.save, asked: now, since: now, targets: []record.Target{}}
}

// early: the job has the signal from whoever has sent it to all, and may have had it, and done what it does then, before this process came
// to know of it.
func (s *saving) early(came time.Time) { s.asked, s.since = came, came.Add(-lately) }

func (s *supervision) ended() bool {
	select {
	case <-s.box.Ended():
		return true
	default:
		return false
	}
}

// everybodyHas reports whether a signal that has come to this process has come to all others, too.
func (s *supervision) everybodyHas(sig syscall.Signal) bool {
	return comes(sig, s.box.Outside(), s.box.Ended())
}

// lately is how long ago a signal from outside may have come that is the one which this process has got now: on a machine that has much
// else to do it may learn of its own late. What came before is another one, of which nobody was told.
const lately = time.Second

// comes waits for a signal from outside.
func comes(sig syscall.Signal, outside <-chan container.Outside, ended <-chan struct{}) bool {
	over := time.After(together)
	for {
		select {
		case other := <-outside:
			if other.Signal == sig && time.Since(other.At) < lately {
				return true
			}
		case <-over:
			return false
		case <-ended:
			return false
		}
	}
}

// ask has every process that listens save its work, unless all have been asked.
func (s *supervision) ask(why string, done bool) bool {
	list, err := s.box.Listeners(s.save)
	if err != nil && !done {
		s.notice("the job cannot be asked to save its work: " + err.Error())
		return false
	}
	asked := s.asks(why)
	if err := s.pause.wake(); err != nil {
		s.notice("the paused job does not go on: " + err.Error())
	}
	for _, l := range list {
		if !done {
			err = l.Signal(s.save)
		}
		switch {
		case done || err == nil:
			asked.targets = append(asked.targets, record.Target{PID: l.PID, Name: l.Name})
		case !errors.Is(err, fs.ErrNotExist):
			s.notice(fmt.Sprintf("the job's process %d cannot be asked to save its work: %v", l.PID, err))
		}
		_ = l.Close() // was open for reading alone
	}
	slices.SortFunc(asked.targets, func(a, b record.Target) int { return cmp.Compare(a.PID, b.PID) })
	if len(asked.targets) == 0 && !done { // else they may have ended for it
		s.notice("no process of the job handles " + signalName(s.save) + ", by which it was to be asked to save its work")
		return false
	}
	s.saving = asked
	s.event("checkpoint", map[string]any{"why": why, "signal": signalName(s.save), "targets": asked.names()})
	who := cmp.Or(strings.Join(asked.names(), ", "), "its processes")
	s.notice(fmt.Sprintf("asked to save its work by %s, because of %s: %s", signalName(s.save), strings.ReplaceAll(why, "-", " "), who))
	return true
}

// names are those of the processes that were asked, each with its number inside.
func (s *saving) names() (names []string) {
	for _, t := range s.targets {
		names = append(names, fmt.Sprintf("%s (%d)", t.Name, t.PID))
	}
	return names
}

// remind is when a job is asked to save its work whose time is about to be over; nil: never. end is when the batch job ends, nil where
// nobody says.
func (s *supervision) remind(end *time.Time) <-chan time.Time {
	if s.saveBefore == 0 {
		return nil
	}
	over := time.Time{}
	if s.limit > 0 {
		over = s.box.Started.Add(s.limit)
	}
	if end != nil && (over.IsZero() || end.Before(over)) {
		over = *end
	}
	left := time.Until(over) - s.saveBefore
	switch {
	case over.IsZero():
		s.notice("nobody says when the job's time is over, so that --checkpoint-before means nothing: the batch system does not, and there is no --timeout")
		return nil
	case left <= 0:
		s.notice("less than --checkpoint-before is left of the job's time: it is not asked to save what it cannot have")
		return nil
	}
	return time.After(left)
}

// endedAfter completes what is known of the checkpoint when the job has ended: which files changed on volumes that it can write to.
func (s *saving) endedAfter(exit container.Exit, started time.Time, mounts []record.Mount) {
	s.saved = record.Checkpoint{
		Why: s.why, Signal: signalName(s.signal), Asked: s.asked, Targets: s.targets, Forced: s.forced,
		Seconds: max(0, started.Add(exit.Wall).Sub(s.asked).Seconds()), Files: []record.ChangedFile{},
	}
	ctx, cancel := context.WithTimeout(context.Background(), surveyTime)
	defer cancel()
	for _, m := range mounts {
		if m.Mode == "rw" && Fingerprinted(m) {
			s.look(ctx, m)
		}
	}
	slices.SortFunc(s.saved.Files, func(a, b record.ChangedFile) int { return b.Changed.Compare(a.Changed) })
	const most = 50
	if n := len(s.saved.Files); n > most {
		s.saved.Files, s.saved.More = s.saved.Files[:most], n-most
	}
}

// look finds the files of a mount that have changed since the job was asked.
func (s *saving) look(ctx context.Context, m record.Mount) {
	source, err := filepath.EvalSymlinks(m.Source)
	if err != nil {
		s.saved.Part = true
		return
	}
	// File systems round times down to a tick of the kernel's clock, and some to more.
	const tick = 10 * time.Millisecond
	since, seen := s.since.Add(-tick), 0
	err = filepath.WalkDir(source, func(at string, entry fs.DirEntry, err error) error {
		if seen++; seen > surveyFiles || ctx.Err() != nil {
			return errTooMany
		}
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // a directory that cannot be read has no file that can be named
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(since) {
			return nil //nolint:nilerr // gone meanwhile, or none that was saved
		}
		name, err := filepath.Rel(source, at)
		if err != nil {
			return err
		}
		s.saved.Files = append(s.saved.Files, record.ChangedFile{Path: path.Join(m.Target, name), Bytes: info.Size(), Changed: info.ModTime()})
		return nil
	})
	s.saved.Part = s.saved.Part || err != nil
}

// verdict is why a job ended that had been asked to save its work. batch is the scheduler whose job it is in, "" for none.
func (s *saving) verdict(batch string, code int) verdict {
	text := fmt.Sprintf("The job was asked to save its work by %s", signalName(s.signal))
	if s.why == timeLeft {
		text += " before its time was over"
	} else {
		text += ", after " + s.why + " had come"
	}
	switch s.forced {
	case "":
		text += fmt.Sprintf(", and ended %.1f s later with status %d", s.saved.Seconds, code)
	default:
		text += fmt.Sprintf(", and was ended by %s %.1f s later", s.forced, s.saved.Seconds)
	}
	switch n := len(s.saved.Files) + s.saved.More; {
	case n > 0:
		text += fmt.Sprintf("; it has written %s (%s) to its volumes since.", files(n), path.Base(s.saved.Files[0].Path))
	default:
		text += "; no file on its volumes has changed since."
	}
	advice := "It can go on from what it has saved."
	if batch != "" {
		return verdict{record.Preempted, text, advice + " With --exit-code preempted=N a batch script can tell that it should be put back into the queue."}
	}
	return verdict{record.Stopped, text, advice}
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
