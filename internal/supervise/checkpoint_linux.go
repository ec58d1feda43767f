package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fingerprint"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Checkpoint is how a job is asked to save its work before it has to end. The zero value: it is not.
type Checkpoint struct {
	Signal string        // by name or number; "": there is none
	Before time.Duration // the end of the job's time, at which it is asked; 0: when a signal asks the job to end
}

// Check reads the signal.
func (c Checkpoint) Check() (syscall.Signal, error) {
	switch {
	case c.Signal == "" && c.Before != 0:
		return 0, fmt.Errorf("%w: --checkpoint-before says when, and --checkpoint-signal has to say by which signal", spec.ErrOption)
	case c.Signal == "":
		return 0, nil
	}
	sig, ok := signals.Parse(c.Signal)
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

// endGrace is how long a job has from SIGTERM to SIGKILL that has had its time for a checkpoint before.
const endGrace = 10 * time.Second

// saving is how a job was asked to save its work.
type saving struct {
	why     string // a signal's name, or cause.TimeLeft
	signal  syscall.Signal
	asked   time.Time
	since   time.Time // may the job have saved its work
	targets []record.Target
	forced  string // SIGTERM or SIGKILL, when it had to be ended so
	saved   record.Checkpoint
}

// together is how long a signal to a whole process group may take from its first process to its last.
const together = 30 * time.Millisecond

// askedToSave asks the job to save its work because of a signal, which may be the very one that it is asked by. False: none of its
// processes would handle that, or none was to be asked.
func (s *Supervision) askedToSave(by os.Signal) bool {
	sig, ok := by.(syscall.Signal)
	if !ok || s.Save == 0 || s.saving != nil || sig != s.Save && !signals.Asks(by) {
		return false
	}
	came := time.Now()
	everybody := s.everybodyHas(sig)
	if sig == s.Save && s.ended() {
		s.saving = s.alreadyHas(signals.Name(sig))
		return true
	}
	if !s.ask(signals.Name(sig), everybody && sig == s.Save) {
		return false
	}
	if everybody {
		s.saving.early(came)
		_ = s.Box.Signal(sig) // PID 1 now knows that it came both ways, and is nobody's
	}
	return true
}

// alreadyHas is for a job that got the signal itself before its supervisor did; which of its processes had it is not known.
func (s *Supervision) alreadyHas(why string) *saving {
	had := s.newSaving(why)
	had.early(had.asked)
	return had
}

func (s *Supervision) newSaving(why string) *saving {
	now := time.Now()
	return &saving{why: why, signal: s.Save, asked: now, since: now, targets: []record.Target{}}
}

// early: whoever signalled all processes may have reached the job before this process, and the job may have saved since.
func (s *saving) early(came time.Time) { s.asked, s.since = came, came.Add(-lately) }

func (s *Supervision) ended() bool {
	select {
	case <-s.Box.Ended():
		return true
	default:
		return false
	}
}

// everybodyHas reports whether a signal that has come to this process has come to all others, too.
func (s *Supervision) everybodyHas(sig syscall.Signal) bool {
	return comes(sig, s.Box.Outside(), s.Box.Ended())
}

// lately is how old a signal seen from outside may be and still be the one that came here now: a busy machine delivers late.
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
func (s *Supervision) ask(why string, done bool) bool {
	list, err := s.Box.Listeners(s.Save)
	if err != nil && !done {
		s.Notice("the job cannot be asked to save its work: " + err.Error())
		return false
	}
	asked := s.newSaving(why)
	if err := s.Pause.wake(); err != nil {
		s.Notice("the paused job does not go on: " + err.Error())
	}
	for _, l := range list {
		if !done {
			err = l.Signal(s.Save)
		}
		switch {
		case done || err == nil:
			asked.targets = append(asked.targets, record.Target{PID: l.PID, Name: l.Name})
		case !errors.Is(err, fs.ErrNotExist):
			s.Notice(fmt.Sprintf("the job's process %d cannot be asked to save its work: %v", l.PID, err))
		}
		_ = l.Close() // was open for reading alone
	}
	slices.SortFunc(asked.targets, func(a, b record.Target) int { return cmp.Compare(a.PID, b.PID) })
	if len(asked.targets) == 0 && !done { // else they may have ended for it
		s.Notice("no process of the job handles " + signals.Name(s.Save) + ", by which it was to be asked to save its work")
		return false
	}
	s.saving = asked
	s.Event("checkpoint", map[string]any{"why": why, "signal": signals.Name(s.Save), "targets": asked.names()})
	who := cmp.Or(strings.Join(asked.names(), ", "), "its processes")
	s.Notice(fmt.Sprintf("asked to save its work by %s, because of %s: %s", signals.Name(s.Save), strings.ReplaceAll(why, "-", " "), who))
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
func (s *Supervision) remind(end *time.Time) <-chan time.Time {
	if s.Checkpoint.Before == 0 {
		return nil
	}
	over := time.Time{}
	if s.Limit > 0 {
		over = s.Box.Started.Add(s.Limit)
	}
	if end != nil && (over.IsZero() || end.Before(over)) {
		over = *end
	}
	left := time.Until(over) - s.Checkpoint.Before
	switch {
	case over.IsZero():
		s.Notice("nobody says when the job's time is over, so that --checkpoint-before means nothing: the batch system does not, and there is no --timeout")
		return nil
	case left <= 0:
		s.Notice("less than --checkpoint-before is left of the job's time: it is not asked to save what it cannot have")
		return nil
	}
	return time.After(left)
}

// Saved is what is known of the checkpoint of a job that has ended; nil: it was not asked for one.
func (s *Supervision) Saved(exit container.Exit) *record.Checkpoint {
	if s.saving == nil {
		return nil
	}
	s.saving.endedAfter(exit, s.Box.Started, s.Writer.Run().Mounts)
	return &s.saving.saved
}

// endedAfter completes what is known of the checkpoint when the job has ended: which files changed on volumes that it can write to.
func (s *saving) endedAfter(exit container.Exit, started time.Time, mounts []record.Mount) {
	s.saved = record.Checkpoint{
		Why: s.why, Signal: signals.Name(s.signal), Asked: s.asked, Targets: s.targets, Forced: s.forced,
		Seconds: max(0, started.Add(exit.Wall).Sub(s.asked).Seconds()), Files: []record.ChangedFile{},
	}
	ctx, cancel := context.WithTimeout(context.Background(), fingerprint.Patience)
	defer cancel()
	for _, m := range mounts {
		if m.Mode == record.ReadWrite && fingerprint.Has(m) {
			files, whole := fingerprint.Changed(ctx, m, s.since)
			s.saved.Files = append(s.saved.Files, files...)
			s.saved.Part = s.saved.Part || !whole
		}
	}
	slices.SortFunc(s.saved.Files, func(a, b record.ChangedFile) int { return b.Changed.Compare(a.Changed) })
	const most = 50
	if n := len(s.saved.Files); n > most {
		s.saved.Files, s.saved.More = s.saved.Files[:most], n-most
	}
}
