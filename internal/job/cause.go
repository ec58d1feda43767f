package job

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/container"
)

// codeTimeout is the status of a run that reached its time limit, as timeout(1) has it.
const codeTimeout = 124

// evidence is what is known of how a job ended.
type evidence struct {
	exit     container.Exit
	asked    os.Signal     // that asked it to end; nil: none did
	saving   *saving       // it was asked to save its work first; nil: it was not
	batch    string        // the scheduler whose job it was in; "": none
	limit    time.Duration // of its time, when that was reached; 0: it was not
	oom      metrics.OOMReport
	peaks    record.Peaks
	measured bool    // peaks.MemoryBytes is from the job's own cgroup
	shmSize  float64 // of /dev/shm, in bytes; 0: not known
	tail     string  // the last of what a job printed that failed
	largest  metrics.Process
	gpus     []gpuEvidence
}

// verdict is why it ended.
type verdict struct {
	cause           record.Cause
	message, advice string
}

// judge finds the cause. What is inferred and not known is called probable; a status of 137 alone says nothing.
func (e evidence) judge() verdict { return e.withLostGPUs(e.verdict()) }

func (e evidence) verdict() verdict {
	switch {
	case e.saving != nil && e.limit == 0:
		return e.saving.verdict(e.batch, e.exit.Code)
	case e.limit > 0:
		return verdict{
			record.Timeout,
			fmt.Sprintf("The job reached its time limit of %s and was asked to end; it ended with status %d.", e.limit, e.exit.Code),
			"Give it longer with --timeout, or have it save checkpoints and go on from the last one.",
		}
	case e.asked != nil:
		name := interruption{e.asked}.name()
		text := fmt.Sprintf("The job was asked to end by %s and ended with status %d.", name, e.exit.Code)
		return verdict{record.Stopped, text, "Somebody, or the batch system, sent that to Coracle; a job that saves checkpoints when it is asked to end can go on from them."}
	}
	for _, look := range []func() (verdict, bool){e.outOfMemory, e.shmFull, e.gpuMemory, e.signalled} {
		if v, ok := look(); ok {
			return v
		}
	}
	v := verdict{record.Exited, fmt.Sprintf("The job ended by itself with status %d.", e.exit.Code), statusAdvice(e.exit.Code)}
	if e.oom.Own > 0 {
		v.message += fmt.Sprintf(" %s killed for want of memory before that.", processes(e.oom.Own))
		v.advice = e.memoryAdvice()
	}
	return v
}

// killed: the job was ended by SIGKILL, or a shell in it says so of its last command.
func (e evidence) killed() bool {
	return e.exit.Signal == unix.SIGKILL || e.exit.Code == 128+int(unix.SIGKILL)
}

func (e evidence) outOfMemory() (verdict, bool) {
	switch {
	case e.exit.Code == 0:
		return verdict{}, false
	case e.oom.Own > 0 && e.killed():
		return verdict{record.OOM, "Killed: out of memory. " + e.memoryText() + ".", e.memoryAdvice()}, true
	case e.oom.Own > 0:
		text := fmt.Sprintf("Out of memory: %s killed. %s; probably therefore the job then ended with status %d.", processes(e.oom.Own), e.memoryText(), e.exit.Code)
		return verdict{record.OOM, text, e.memoryAdvice()}, true
	case e.oom.OwnKnown || e.oom.Enclosing+e.oom.Host == 0 || !e.killed() && !e.stepOutOfMemory():
		return verdict{}, false
	case e.oom.Limit > 0:
		return verdict{record.OOM, "Probably killed for want of memory: its limit is " + size(e.oom.Limit) + ", and the kernel ended a process for that while it ran.", e.memoryAdvice()}, true
	case e.oom.Enclosing > 0:
		return verdict{record.OOM, e.aroundText(), aroundAdvice(e.oom.EnclosingGroup)}, true
	}
	return verdict{
		record.OOM, "Probably killed for want of memory: this machine ran out of it while the job ran. The job's peak was " + size(float64(e.peaks.MemoryBytes)) + ".",
		"Run it on a machine with more memory or less to do, or use a smaller batch or fewer workers.",
	}, true
}

// memoryText says what there was, what was used, and by whom.
func (e evidence) memoryText() string { return e.limitText() + e.victimText() }

func (e evidence) limitText() string {
	peak := size(float64(e.peaks.MemoryBytes))
	if e.peaks.AnonShmemBytes != nil {
		peak += fmt.Sprintf(" (anonymous and shared memory %s)", size(float64(*e.peaks.AnonShmemBytes)))
	}
	switch {
	case !e.ownLimit() && e.oom.EnclosingMet:
		return fmt.Sprintf("The limit of the enclosing %s, %s, was met; the job's peak was %s", aroundName(e.oom.EnclosingGroup), size(e.oom.EnclosingLimit), peak)
	case !e.ownLimit() && e.oom.EnclosingLimit > 0:
		return fmt.Sprintf("A control group around the job, whose limit is %s, or the machine had no more; the job's peak was %s", size(e.oom.EnclosingLimit), peak)
	case !e.ownLimit():
		return "The machine, or a control group around the job, had no more; the job's peak was " + peak
	case e.measured && float64(e.peaks.MemoryBytes) >= 0.9*e.oom.Limit:
		return fmt.Sprintf("Peak %s of a limit of %s", peak, size(e.oom.Limit))
	}
	return "The limit is " + size(e.oom.Limit) // it was reached between two samples
}

// ownLimit: it was the job's own limit that was met.
func (e evidence) ownLimit() bool { return e.oom.Limit > 0 && e.oom.Reached > 0 }

// victimText names those who were killed, or, where that is not known, who had most.
func (e evidence) victimText() string {
	const most = 4
	switch names := e.oom.Victims; {
	case len(names) > most:
		return fmt.Sprintf("; killed: %s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	case len(names) > 0:
		return "; killed: " + strings.Join(names, ", ")
	case e.largest.Name != "":
		return fmt.Sprintf("; its largest process was %s with %s", e.largest.Name, size(e.largest.Bytes))
	}
	return ""
}

func (e evidence) memoryAdvice() string {
	if !e.ownLimit() {
		return "Use a smaller batch or fewer workers, or a machine with more memory."
	}
	const more = 1.25
	return fmt.Sprintf("Try --memory %dm, a smaller batch or fewer workers.", int64(e.oom.Limit*more)>>20)
}

// shmFull: what is mapped from a full /dev/shm ends a process by SIGBUS when it is used, and files in it cannot grow.
func (e evidence) shmFull() (verdict, bool) {
	const nearly = 0.99
	if e.exit.Code == 0 || e.shmSize == 0 || e.peaks.ShmBytes == nil || float64(*e.peaks.ShmBytes) < nearly*e.shmSize {
		return verdict{}, false
	}
	full := fmt.Sprintf("/dev/shm was full (%s of %s)", size(float64(*e.peaks.ShmBytes)), size(e.shmSize))
	advice := fmt.Sprintf("Try --shm-size %dm, or fewer data-loader workers.", 2*int64(e.shmSize)>>20)
	if e.exit.Signal == unix.SIGBUS || e.exit.Code == 128+int(unix.SIGBUS) {
		return verdict{record.ShmFull, "The job was ended by SIGBUS when " + full + ".", advice}, true
	}
	for _, sign := range []string{"No space left on device", "Bus error", "bus error", "shared memory"} {
		if strings.Contains(e.tail, sign) {
			return verdict{record.ShmFull, fmt.Sprintf("%s; probably therefore the job ended with status %d, for it spoke of %q.", full, e.exit.Code, sign), advice}, true
		}
	}
	return verdict{}, false
}

// statusAdvice is what a status of the job's own usually means.
func statusAdvice(code int) string {
	switch {
	case code == 0:
		return ""
	case code == codeNotExecutable:
		return "A shell ends so when it cannot run a command: is it executable, and for this machine?"
	case code == codeNotFound:
		return "A shell ends so when it does not find a command: is it in the image?"
	case code > 128 && unix.SignalName(unix.Signal(code-128)) != "":
		return "A shell ends so when its command was ended by " + unix.SignalName(unix.Signal(code-128)) + "; the end of the output may say more."
	}
	return "The end of its output should say why."
}

// failureAdvice is for failures of which no more is known than where they were.
var failureAdvice = map[record.Cause]string{
	record.ImageFailure: "Check the image's name, and whether its registry can be reached.",
	record.StartFailure: "The job did not begin. Change what the message names; if nothing is wrong with it, this is a fault of Coracle's.",
	record.Stopped:      "Somebody, or the batch system, asked for that before the job began.",
}

// signalName is a signal's name; a real-time signal has none.
func signalName(s unix.Signal) string {
	return cmp.Or(unix.SignalName(s), fmt.Sprintf("signal %d", int(s)))
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

func (e evidence) signalled() (verdict, bool) {
	if e.exit.Signal == 0 {
		return verdict{}, false
	}
	text := "The job was ended by " + signalName(e.exit.Signal) + ", which did not come from Coracle."
	return verdict{record.Signalled, text, cmp.Or(signalAdvice[e.exit.Signal], "The job itself, or somebody from outside, sent it.")}, true
}

func size(bytes float64) string { return units.BytesSize(bytes) }

func processes(n float64) string {
	if n == 1 {
		return "1 process was"
	}
	return fmt.Sprintf("%.0f processes were", n)
}

// record is the evidence as it is kept; nil when there is none beyond the status.
func (e evidence) record() *record.Evidence {
	if e.exit.Code == 0 && e.oom.Own == 0 && e.limit == 0 {
		return nil
	}
	r := record.Evidence{
		OOMKills: int64(e.oom.Own), OOMKillsEnclosing: int64(e.oom.Enclosing), OOMKillsHost: int64(e.oom.Host),
		MemoryLimit: int64(e.oom.Limit), EnclosingMemoryLimit: int64(e.oom.EnclosingLimit), ShmSize: int64(e.shmSize),
		Said: e.gpuSaid(), GPU: e.gpuRecord(),
	}
	if e.oom.Own > 0 || e.oom.Enclosing > 0 {
		const most = 16
		r.OOMVictims = e.oom.Victims[:min(most, len(e.oom.Victims))]
		if e.largest.Name != "" {
			r.Largest = &record.Process{Name: e.largest.Name, MemoryBytes: int64(e.largest.Bytes)}
		}
	}
	if e.oom.EnclosingMet {
		r.EnclosingGroup = cmp.Or(sched.Group(e.oom.EnclosingGroup), e.oom.EnclosingGroup)
	}
	if e.limit > 0 {
		r.TimeLimit = e.limit.Seconds()
	}
	if reflect.ValueOf(r).IsZero() {
		return nil
	}
	return &r
}
