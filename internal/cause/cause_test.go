package cause

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/metrics"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/container"
)

func TestJudge(t *testing.T) {
	const mib = 1 << 20
	bytes := func(n int64) *int64 { return &n }
	killed := container.Exit{Code: 137, Signal: unix.SIGKILL}
	failed := container.Exit{Code: 1}
	const slurmStep = "/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"
	const outOf = "RuntimeError\nCUDA out of memory\n"
	own := metrics.OOMReport{Own: 1, Enclosing: 1, Host: 1, Limit: 200 * mib, OwnKnown: true, Reached: 1}
	full := record.Peaks{ShmBytes: bytes(64 * mib)}
	for _, c := range []struct {
		name  string
		e     Evidence
		cause record.Cause
		says  string // part of the message and the advice
	}{
		{"status 0", Evidence{}, record.Exited, "by itself with status 0."},
		{"a bare 137", Evidence{Exit: container.Exit{Code: 137}}, record.Exited, "status 137"},
		{"a bare SIGKILL", Evidence{Exit: killed}, record.Signalled, "SIGKILL, which did not come from Coracle"},
		{"SIGKILL, and its own group says that it was not memory", Evidence{Exit: killed, OOM: metrics.OOMReport{Host: 3, Enclosing: 1, OwnKnown: true}}, record.Signalled, "SIGKILL"},
		{"its own limit", Evidence{Exit: killed, OOM: own, Measured: true, Peaks: record.Peaks{MemoryBytes: 199 * mib, AnonShmemBytes: bytes(150 * mib)}}, record.OOM,
			"Killed: out of memory. Peak 199MiB (anonymous and shared memory 150MiB) of a limit of 200MiB. Try --memory 250m"},
		{"its own limit, reached between samples", Evidence{Exit: killed, OOM: own, Peaks: record.Peaks{MemoryBytes: mib}}, record.OOM, "Killed: out of memory. The limit is 200MiB."},
		{"a limit around it", Evidence{Exit: killed, OOM: metrics.OOMReport{Own: 2, OwnKnown: true}, Peaks: record.Peaks{MemoryBytes: mib}}, record.OOM, "a control group around the job, had no more; the job's peak was 1MiB"},
		{"a limit around its own", Evidence{Exit: killed, OOM: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, EnclosingLimit: 64 * mib}, Peaks: record.Peaks{MemoryBytes: mib}}, record.OOM,
			"A control group around the job, whose limit is 64MiB, or the machine had no more; the job's peak was 1MiB. Use a smaller batch"},
		{"who was killed", Evidence{Exit: killed, OOM: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, Reached: 9, Victims: []string{"python3"}}, Largest: metrics.Process{Name: "sh", Bytes: mib}}, record.OOM,
			"The limit is 200MiB; killed: python3. Try"},
		{"who was probably", Evidence{Exit: killed, OOM: own, Largest: metrics.Process{Name: "python3", Bytes: 150 * mib}}, record.OOM, "The limit is 200MiB; its largest process was python3 with 150MiB. Try"},
		{"a GPU", Evidence{Exit: failed, Tail: "Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB\n"}, record.GPUOOM,
			`Probably out of GPU memory: the job ended with status 1 after it printed "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB". Use a smaller batch`},
		{"a full GPU", Evidence{Exit: failed, Tail: outOf, GPUs: []GPU{{Index: 0, Peak: 10 * mib, Total: 100 * mib}, {Index: 3, Peak: 99 * mib, Own: 98 * mib, Total: 100 * mib}}}, record.GPUOOM,
			`Out of GPU memory: the job ended with status 1 after it printed "CUDA out of memory"; GPU 3 had 99MiB of its 100MiB in use at most. Use a smaller batch`},
		{"a GPU full of others", Evidence{Exit: failed, Tail: outOf, GPUs: []GPU{{Peak: 99 * mib, Own: 20 * mib, Total: 100 * mib}}}, record.GPUOOM,
			"in use at most, 79MiB of it by others. Others use the same GPU: ask for one of your own."},
		{"a GPU with room, when it was looked at", Evidence{Exit: failed, Tail: outOf, GPUs: []GPU{{Peak: 60 * mib, Own: 60 * mib, Total: 100 * mib}}}, record.GPUOOM,
			"Probably out of GPU memory: the job ended with status 1 after it printed \"CUDA out of memory\"; GPU 0 had 60MiB of its 100MiB in use at most, when it was looked at."},
		{"a full GPU alone", Evidence{Exit: failed, GPUs: []GPU{{Peak: 99 * mib, Own: 99 * mib, Total: 100 * mib}}}, record.Exited, "status 1."},
		{"a GPU that is lost", Evidence{Exit: failed, GPUs: []GPU{{Index: 1, Lost: "GPU is lost"}}}, record.Exited,
			"The job ended by itself with status 1. GPU 1 was lost before that: GPU is lost. Probably it ended for want of that GPU."},
		{"a GPU that is lost, and the job was killed for its memory", Evidence{Exit: killed, OOM: own, GPUs: []GPU{{Lost: "x"}}}, record.OOM, "GPU 0 was lost before that: x. Try --memory 250m"},
		{"a GPU that is lost, and the job does not mind", Evidence{GPUs: []GPU{{Lost: "x"}}}, record.Exited, "status 0. "},
		{"a GPU, and the job goes on", Evidence{Tail: "CUDA out of memory, trying a smaller batch\n"}, record.Exited, "status 0."},
		{"a GPU, and then memory of its own", Evidence{Exit: killed, OOM: own, Tail: "CUDA out of memory\n"}, record.OOM, "Killed: out of memory."},
		{"a job that speaks of memory", Evidence{Exit: failed, Tail: "MemoryError: out of memory\n"}, record.Exited, "status 1."},
		{"a worker, and the job fails for it", Evidence{Exit: failed, OOM: own}, record.OOM, "Out of memory: 1 process was killed. The limit is 200MiB; probably therefore the job then ended with status 1."},
		{"a worker, and the job does not mind", Evidence{OOM: own}, record.Exited, "status 0. 1 process was killed for want of memory before that."},
		{"its group went before it could be read", Evidence{Exit: killed, OOM: metrics.OOMReport{Enclosing: 1, Limit: 200 * mib}}, record.OOM, "Probably killed for want of memory: its limit is 200MiB"},
		{"a group with others", Evidence{Exit: killed, OOM: metrics.OOMReport{Enclosing: 1, Host: 1, EnclosingLimit: 64 * mib}}, record.OOM, "Probably killed for want of memory: the kernel ended a process of the control group that the job ran in, whose limit is 64MiB"},
		{"the machine", Evidence{Exit: killed, OOM: metrics.OOMReport{Host: 1}}, record.OOM, "Probably killed for want of memory: this machine"},
		{"a shell whose command was killed", Evidence{Exit: container.Exit{Code: 137}, OOM: metrics.OOMReport{Host: 1}}, record.OOM, "Probably"},
		{"the step's limit", Evidence{Exit: killed, OOM: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: slurmStep}}, record.OOM,
			"Probably killed for want of memory: the limit of the enclosing Slurm step 7.0, 64MiB, was met, and the kernel ended a process in it. The job's peak was 0B. Ask Slurm for more memory (--mem"},
		{"the step's limit, a worker", Evidence{Exit: failed, OOM: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: slurmStep}}, record.OOM,
			"Probably for want of memory: the limit of the enclosing Slurm step 7.0, 64MiB, was met, and the kernel ended a process in it; the job then ended with status 1. The"},
		{"a group's limit, perhaps another's process", Evidence{Exit: failed, OOM: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: "/docker/1"}}, record.Exited, "status 1."},
		{"the limit around its own was met", Evidence{Exit: killed, OOM: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: "/a/b"}, Peaks: record.Peaks{MemoryBytes: mib}}, record.OOM,
			"The limit of the enclosing control group b, 64MiB, was met; the job's peak was 1MiB"},
		{"somebody else's misfortune", Evidence{Exit: failed, OOM: metrics.OOMReport{Host: 1, Enclosing: 1}}, record.Exited, "status 1."},
		{"SIGBUS in a full /dev/shm", Evidence{Exit: container.Exit{Code: 135, Signal: unix.SIGBUS}, Peaks: full, ShmSize: 64 * mib}, record.ShmFull, "ended by SIGBUS when /dev/shm was full (64MiB of 64MiB). Try --shm-size 128m"},
		{"SIGBUS elsewhere", Evidence{Exit: container.Exit{Code: 135, Signal: unix.SIGBUS}, Peaks: full, ShmSize: 128 * mib}, record.Signalled, "SIGBUS"},
		{"no space in a full /dev/shm", Evidence{Exit: failed, Peaks: full, ShmSize: 64 * mib, Tail: "dd: No space left on device"}, record.ShmFull, "probably therefore"},
		{"a full /dev/shm, and nothing says that it mattered", Evidence{Exit: failed, Peaks: full, ShmSize: 64 * mib, Tail: "ValueError"}, record.Exited, "status 1."},
		{"a full /dev/shm and success", Evidence{Peaks: full, ShmSize: 64 * mib, Tail: "Bus error"}, record.Exited, "status 0."},
		{"time", Evidence{Exit: container.Exit{Code: 143, Signal: unix.SIGTERM}, Limit: 4 * time.Hour}, record.Timeout, "its time limit of 4h0m0s and was asked to end; it ended with status 143"},
		{"time, and killed", Evidence{Exit: killed, Limit: time.Hour, OOM: own}, record.Timeout, "status 137"},
		{"killed on purpose", Evidence{Exit: killed, Asked: "SIGTERM", Patience: new(time.Duration), OOM: own}, record.Stopped, "The job was killed, as somebody wished: it ended with status 137."},
		{"asked, and killed for it", Evidence{Exit: killed, Asked: "SIGTERM", Patience: new(10 * time.Second)}, record.Stopped, "asked to end by SIGTERM, did not within 10s, and was killed"},
		{"asked", Evidence{Exit: killed, Asked: "SIGTERM", OOM: own}, record.Stopped, "SIGTERM"},
		{"a crash", Evidence{Exit: container.Exit{Code: 139, Signal: unix.SIGSEGV}}, record.Signalled, "SIGSEGV"},
	} {
		v := c.e.Judge()
		if v.Cause != c.cause || !strings.Contains(v.Message+" "+v.Advice, c.says) {
			t.Errorf("%s: %s: %s %s; want %s, %q", c.name, v.Cause, v.Message, v.Advice, c.cause, c.says)
		}
		if v.Advice == "" && c.e.Exit.Code != 0 {
			t.Errorf("%s: no advice", c.name)
		}
		if certain := !strings.Contains(strings.ToLower(v.Message), "probably"); v.Cause == record.OOM && certain != (c.e.OOM.Own > 0 && c.e.killed()) {
			t.Errorf("%s: %q, whatever is known", c.name, v.Message)
		}
	}
}

// What was measured of a GPU is evidence of a job that spoke of it.
func TestGPUEvidence(t *testing.T) {
	gpus := []GPU{{Peak: 5, Total: 100}, {Index: 1, Peak: 99, Own: 90, Total: 100}, {Index: 2, Peak: 100}}
	e := Evidence{Exit: container.Exit{Code: 1}, Tail: "CUDA out of memory", GPUs: gpus}
	if r := e.Record(); r == nil || r.GPU == nil || *r.GPU != (record.GPUEvidence{Index: 1, MemoryBytes: 99, JobMemoryBytes: 90, TotalBytes: 100}) {
		t.Errorf("%+v", r)
	}
	e.Tail = "ValueError"
	if r := e.Record(); r != nil {
		t.Errorf("of a job that did not speak of it: %+v", r)
	}
}

func TestJudgeOfASavedJob(t *testing.T) {
	file := record.ChangedFile{Path: "/out/a/last.ckpt", Bytes: 5}
	for _, c := range []struct {
		saved record.Checkpoint
		batch string
		cause record.Cause
		text  string
	}{
		{
			record.Checkpoint{Why: "SIGTERM", Signal: "SIGUSR1", Seconds: 3.21, Files: []record.ChangedFile{file}}, "Slurm", record.Preempted,
			"The job was asked to save its work by SIGUSR1, after SIGTERM had come, and ended 3.2 s later with status 7; it has written 1 file (last.ckpt) to its volumes since.",
		},
		{
			record.Checkpoint{Why: TimeLeft, Signal: "SIGUSR1", Forced: "SIGKILL", Seconds: 60}, "", record.Stopped,
			"The job was asked to save its work by SIGUSR1 before its time was over, and was ended by SIGKILL 60.0 s later; no file on its volumes has changed since.",
		},
	} {
		e := Evidence{Exit: container.Exit{Code: 7}, Asked: "SIGTERM", Checkpoint: &c.saved, Batch: c.batch}
		if v := e.Judge(); v.Cause != c.cause || v.Message != c.text || v.Advice == "" {
			t.Errorf("%+v", v)
		}
	}
}
