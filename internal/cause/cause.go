// Package cause finds out why a job ended: from its status, from what asked it to end, and from what was measured of it. What is inferred
// and not known is called probable; a status of 137 alone says nothing.
package cause

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/signals"
	"github.com/coracle-run/coracle/runtime/container"
)

// The statuses of `coracle run` that are not the job's own, as docker has them, and that of a run that reached its time limit, as
// timeout(1) has it.
const (
	StatusTimeout       = 124
	StatusFailure       = 125
	StatusNotExecutable = 126
	StatusNotFound      = 127
)

// Mappable are the causes that --exit-code may give a code of their own.
var Mappable = []record.Cause{
	record.OOM, record.GPUOOM, record.ShmFull, record.Timeout, record.Signalled, record.Stopped, record.Preempted,
	record.NotFound, record.NotExecutable, record.StartFailure, record.ImageFailure,
}

// Evidence is what is known of how a job ended.
type Evidence struct {
	Exit       container.Exit
	Asked      string             // the signal that asked it to end; "": none did
	Patience   *time.Duration     // how long it had for that when it was killed; nil: it was not
	Checkpoint *record.Checkpoint // it was asked to save its work first; nil: it was not
	Batch      string             // the scheduler whose job it was in; "": none
	Limit      time.Duration      // of its time, when that was reached; 0: it was not
	OOM        metrics.OOMReport
	Peaks      record.Peaks
	Measured   bool    // Peaks.MemoryBytes is from the job's own cgroup
	ShmSize    float64 // of /dev/shm, in bytes; 0: not known
	Tail       string  // the last of what a job printed that failed
	Largest    metrics.Process
	GPUs       []GPU
}

// Verdict is why it ended.
type Verdict struct {
	Cause           record.Cause
	Message, Advice string
}

// Judge finds the cause.
func (e Evidence) Judge() Verdict { return e.withLostGPUs(e.verdict()) }

func (e Evidence) verdict() Verdict {
	switch {
	case e.Checkpoint != nil && e.Limit == 0:
		return e.saving()
	case e.Limit > 0:
		return Verdict{
			record.Timeout,
			fmt.Sprintf("The job reached its time limit of %s and was asked to end; it ended with status %d.", e.Limit, e.Exit.Code),
			"Give it longer with --timeout, or have it save checkpoints and go on from the last one.",
		}
	case e.Asked != "":
		return Verdict{record.Stopped, e.askedText(), e.askedAdvice()}
	}
	for _, look := range []func() (Verdict, bool){e.outOfMemory, e.shmFull, e.gpuMemory, e.signalled} {
		if v, ok := look(); ok {
			return v
		}
	}
	v := Verdict{record.Exited, fmt.Sprintf("The job ended by itself with status %d.", e.Exit.Code), statusAdvice(e.Exit.Code)}
	if e.OOM.Own > 0 {
		v.Message += fmt.Sprintf(" %s killed for want of memory before that.", processes(e.OOM.Own))
		v.Advice = e.memoryAdvice()
	}
	return v
}

// askedText says how a job ended that was asked to.
func (e Evidence) askedText() string {
	switch {
	case e.Patience != nil && *e.Patience == 0:
		return fmt.Sprintf("The job was killed, as somebody wished: it ended with status %d.", e.Exit.Code)
	case e.Patience != nil:
		return fmt.Sprintf("The job was asked to end by %s, did not within %s, and was killed: it ended with status %d.", e.Asked, e.Patience, e.Exit.Code)
	}
	return fmt.Sprintf("The job was asked to end by %s and ended with status %d.", e.Asked, e.Exit.Code)
}

func (e Evidence) askedAdvice() string {
	if e.Patience != nil && *e.Patience == 0 {
		return "'coracle kill' did that, or 'coracle stop' with no time to end; without -t, stop gives the job the time that its run has."
	}
	return "Somebody, or the batch system, sent that to Coracle; a job that saves checkpoints when it is asked to end can go on from them."
}

// killed: the job was ended by SIGKILL, or a shell in it says so of its last command.
func (e Evidence) killed() bool {
	return e.Exit.Signal == unix.SIGKILL || e.Exit.Code == 128+int(unix.SIGKILL)
}

func (e Evidence) outOfMemory() (Verdict, bool) {
	switch {
	case e.Exit.Code == 0:
		return Verdict{}, false
	case e.OOM.Own > 0 && e.killed():
		return Verdict{record.OOM, "Killed: out of memory. " + e.memoryText() + ".", e.memoryAdvice()}, true
	case e.OOM.Own > 0:
		text := fmt.Sprintf("Out of memory: %s killed. %s; probably therefore the job then ended with status %d.", processes(e.OOM.Own), e.memoryText(), e.Exit.Code)
		return Verdict{record.OOM, text, e.memoryAdvice()}, true
	case e.OOM.OwnKnown || e.OOM.Enclosing+e.OOM.Host == 0 || !e.killed() && !e.stepOutOfMemory():
		return Verdict{}, false
	case e.OOM.Limit > 0:
		return Verdict{record.OOM, "Probably killed for want of memory: its limit is " + size(e.OOM.Limit) + ", and the kernel ended a process for that while it ran.", e.memoryAdvice()}, true
	case e.OOM.Enclosing > 0:
		return Verdict{record.OOM, e.aroundText(), aroundAdvice(e.OOM.EnclosingGroup)}, true
	}
	return Verdict{
		record.OOM, "Probably killed for want of memory: this machine ran out of it while the job ran. The job's peak was " + size(float64(e.Peaks.MemoryBytes)) + ".",
		"Run it on a machine with more memory or less to do, or use a smaller batch or fewer workers.",
	}, true
}

// memoryText says what there was, what was used, and by whom.
func (e Evidence) memoryText() string { return e.limitText() + e.victimText() }

func (e Evidence) limitText() string {
	peak := size(float64(e.Peaks.MemoryBytes))
	if e.Peaks.AnonShmemBytes != nil {
		peak += fmt.Sprintf(" (anonymous and shared memory %s)", size(float64(*e.Peaks.AnonShmemBytes)))
	}
	switch {
	case !e.ownLimit() && e.OOM.EnclosingMet:
		return fmt.Sprintf("The limit of the enclosing %s, %s, was met; the job's peak was %s", aroundName(e.OOM.EnclosingGroup), size(e.OOM.EnclosingLimit), peak)
	case !e.ownLimit() && e.OOM.EnclosingLimit > 0:
		return fmt.Sprintf("A control group around the job, whose limit is %s, or the machine had no more; the job's peak was %s", size(e.OOM.EnclosingLimit), peak)
	case !e.ownLimit():
		return "The machine, or a control group around the job, had no more; the job's peak was " + peak
	case e.Measured && float64(e.Peaks.MemoryBytes) >= 0.9*e.OOM.Limit:
		return fmt.Sprintf("Peak %s of a limit of %s", peak, size(e.OOM.Limit))
	}
	return "The limit is " + size(e.OOM.Limit) // it was reached between two samples
}

// ownLimit: it was the job's own limit that was met.
func (e Evidence) ownLimit() bool { return e.OOM.Limit > 0 && e.OOM.Reached > 0 }

// victimText names those who were killed, or, where that is not known, who had most.
func (e Evidence) victimText() string {
	const most = 4
	switch names := e.OOM.Victims; {
	case len(names) > most:
		return fmt.Sprintf("; killed: %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	case len(names) > 0:
		return "; killed: " + strings.Join(names, ", ")
	case e.Largest.Name != "":
		return fmt.Sprintf("; its largest process was %s with %s", e.Largest.Name, size(e.Largest.Bytes))
	}
	return ""
}

func (e Evidence) memoryAdvice() string {
	if !e.ownLimit() {
		return "Use a smaller batch or fewer workers, or a machine with more memory."
	}
	const more = 1.25
	return fmt.Sprintf("Try --memory %dm, a smaller batch or fewer workers.", int64(e.OOM.Limit*more)>>20)
}

// shmFull: what is mapped from a full /dev/shm ends a process by SIGBUS when it is used, and files in it cannot grow.
func (e Evidence) shmFull() (Verdict, bool) {
	const nearly = 0.99
	if e.Exit.Code == 0 || e.ShmSize == 0 || e.Peaks.ShmBytes == nil || float64(*e.Peaks.ShmBytes) < nearly*e.ShmSize {
		return Verdict{}, false
	}
	full := fmt.Sprintf("/dev/shm was full (%s of %s)", size(float64(*e.Peaks.ShmBytes)), size(e.ShmSize))
	advice := fmt.Sprintf("Try --shm-size %dm, or fewer data-loader workers.", 2*int64(e.ShmSize)>>20)
	if e.Exit.Signal == unix.SIGBUS || e.Exit.Code == 128+int(unix.SIGBUS) {
		return Verdict{record.ShmFull, "The job was ended by SIGBUS when " + full + ".", advice}, true
	}
	for _, sign := range []string{"No space left on device", "Bus error", "bus error", "shared memory"} {
		if strings.Contains(e.Tail, sign) {
			return Verdict{record.ShmFull, fmt.Sprintf("%s; probably therefore the job ended with status %d, for it spoke of %q.", full, e.Exit.Code, sign), advice}, true
		}
	}
	return Verdict{}, false
}

// statusAdvice is what a status of the job's own usually means.
func statusAdvice(code int) string {
	switch {
	case code == 0:
		return ""
	case code == StatusNotExecutable:
		return "A shell ends so when it cannot run a command: is it executable, and for this machine?"
	case code == StatusNotFound:
		return "A shell ends so when it does not find a command: is it in the image?"
	case code > 128 && unix.SignalName(unix.Signal(code-128)) != "":
		return "A shell ends so when its command was ended by " + unix.SignalName(unix.Signal(code-128)) + "; the end of the output may say more."
	}
	return "The end of its output should say why."
}

// AdviceOn is for failures of which no more is known than where they were.
func AdviceOn(of record.Cause) string { return failures[of] }

var failures = map[record.Cause]string{
	record.ImageFailure: "Check the image's name, and whether its registry can be reached.",
	record.StartFailure: "The job did not begin. Change what the message names; if nothing is wrong with it, this is a fault of Coracle's.",
	record.Stopped:      "Somebody, or the batch system, asked for that before the job began.",
}

// signalAdvice is what a signal usually means.
var signalAdvice = map[unix.Signal]string{
	unix.SIGKILL: "Somebody, or the batch system, may have ended it; nothing says that it ran out of memory.",
	unix.SIGSEGV: "A program or library in the image used memory that was not its own; does its build fit this CPU and driver?",
	unix.SIGABRT: "It gave up by itself (abort); the end of its output should say why.",
	unix.SIGBUS:  "It used memory that had no room behind it: a full file system or a file that was cut while it was mapped.",
	unix.SIGFPE:  "It divided by zero, or the like.",
	unix.SIGILL:  "A program in the image needs a CPU that this machine does not have.",
	unix.SIGSYS:  "The seccomp profile does not let it make a system call; see --security-opt.",
	unix.SIGXCPU: "It used up its CPU time (ulimit -t).",
}

func (e Evidence) signalled() (Verdict, bool) {
	if e.Exit.Signal == 0 {
		return Verdict{}, false
	}
	text := "The job was ended by " + signals.Name(e.Exit.Signal) + ", which did not come from Coracle."
	return Verdict{record.Signalled, text, cmp.Or(signalAdvice[e.Exit.Signal], "The job itself, or somebody from outside, sent it.")}, true
}

func size(bytes float64) string { return units.BytesSize(bytes) }

func processes(n float64) string {
	if n == 1 {
		return "1 process was"
	}
	return fmt.Sprintf("%.0f processes were", n)
}

// Record is the evidence as it is kept; nil when there is none beyond the status.
func (e Evidence) Record() *record.Evidence {
	if e.Exit.Code == 0 && e.OOM.Own == 0 && e.Limit == 0 {
		return nil
	}
	r := record.Evidence{
		OOMKills: int64(e.OOM.Own), OOMKillsEnclosing: int64(e.OOM.Enclosing), OOMKillsHost: int64(e.OOM.Host),
		MemoryLimit: int64(e.OOM.Limit), EnclosingMemoryLimit: int64(e.OOM.EnclosingLimit), ShmSize: int64(e.ShmSize),
		Said: e.gpuSaid(), GPU: e.gpuRecord(),
	}
	if e.OOM.Own > 0 || e.OOM.Enclosing > 0 {
		const most = 16
		r.OOMVictims = e.OOM.Victims[:min(most, len(e.OOM.Victims))]
		if e.Largest.Name != "" {
			r.Largest = &record.Process{Name: e.Largest.Name, MemoryBytes: int64(e.Largest.Bytes)}
		}
	}
	if e.OOM.EnclosingMet {
		r.EnclosingGroup = cmp.Or(sched.Group(e.OOM.EnclosingGroup), e.OOM.EnclosingGroup)
	}
	if e.Limit > 0 {
		r.TimeLimit = e.Limit.Seconds()
	}
	if reflect.ValueOf(r).IsZero() {
		return nil
	}
	return &r
}
