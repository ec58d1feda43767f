package job

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
		e     evidence
		cause record.Cause
		says  string // part of the message and the advice
	}{
		{"status 0", evidence{}, record.Exited, "by itself with status 0."},
		{"a bare 137", evidence{exit: container.Exit{Code: 137}}, record.Exited, "status 137"},
		{"a bare SIGKILL", evidence{exit: killed}, record.Signalled, "SIGKILL, which did not come from Coracle"},
		{"SIGKILL, and its own group says that it was not memory", evidence{exit: killed, oom: metrics.OOMReport{Host: 3, Enclosing: 1, OwnKnown: true}}, record.Signalled, "SIGKILL"},
		{"its own limit", evidence{exit: killed, oom: own, measured: true, peaks: record.Peaks{MemoryBytes: 199 * mib, AnonShmemBytes: bytes(150 * mib)}}, record.OOM,
			"Killed: out of memory. Peak 199MiB (anonymous and shared memory 150MiB) of a limit of 200MiB. Try --memory 250m"},
		{"its own limit, reached between samples", evidence{exit: killed, oom: own, peaks: record.Peaks{MemoryBytes: mib}}, record.OOM, "Killed: out of memory. The limit is 200MiB."},
		{"a limit around it", evidence{exit: killed, oom: metrics.OOMReport{Own: 2, OwnKnown: true}, peaks: record.Peaks{MemoryBytes: mib}}, record.OOM, "a control group around the job, had no more; the job's peak was 1MiB"},
		{"a limit around its own", evidence{exit: killed, oom: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, EnclosingLimit: 64 * mib}, peaks: record.Peaks{MemoryBytes: mib}}, record.OOM,
			"A control group around the job, whose limit is 64MiB, or the machine had no more; the job's peak was 1MiB. Use a smaller batch"},
		{"who was killed", evidence{exit: killed, oom: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, Reached: 9, Victims: []string{"python3"}}, largest: metrics.Process{Name: "sh", Bytes: mib}}, record.OOM,
			"The limit is 200MiB; killed: python3. Try"},
		{"who was probably", evidence{exit: killed, oom: own, largest: metrics.Process{Name: "python3", Bytes: 150 * mib}}, record.OOM, "The limit is 200MiB; its largest process was python3 with 150MiB. Try"},
		{"a GPU", evidence{exit: failed, tail: "Traceback\ntorch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB\n"}, record.GPUOOM,
			`Probably out of GPU memory: the job ended with status 1 after it printed "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB". Use a smaller batch`},
		{"a full GPU", evidence{exit: failed, tail: outOf, gpus: []gpuEvidence{{index: 0, peak: 10 * mib, total: 100 * mib}, {index: 3, peak: 99 * mib, own: 98 * mib, total: 100 * mib}}}, record.GPUOOM,
			`Out of GPU memory: the job ended with status 1 after it printed "CUDA out of memory"; GPU 3 had 99MiB of its 100MiB in use at most. Use a smaller batch`},
		{"a GPU full of others", evidence{exit: failed, tail: outOf, gpus: []gpuEvidence{{peak: 99 * mib, own: 20 * mib, total: 100 * mib}}}, record.GPUOOM,
			"in use at most, 79MiB of it by others. Others use the same GPU: ask for one of your own."},
		{"a GPU with room, when it was looked at", evidence{exit: failed, tail: outOf, gpus: []gpuEvidence{{peak: 60 * mib, own: 60 * mib, total: 100 * mib}}}, record.GPUOOM,
			"Probably out of GPU memory: the job ended with status 1 after it printed \"CUDA out of memory\"; GPU 0 had 60MiB of its 100MiB in use at most, when it was looked at."},
		{"a full GPU alone", evidence{exit: failed, gpus: []gpuEvidence{{peak: 99 * mib, own: 99 * mib, total: 100 * mib}}}, record.Exited, "status 1."},
		{"a GPU that is lost", evidence{exit: failed, gpus: []gpuEvidence{{index: 1, lost: "GPU is lost"}}}, record.Exited,
			"The job ended by itself with status 1. GPU 1 was lost before that: GPU is lost. Probably it ended for want of that GPU."},
		{"a GPU that is lost, and the job was killed for its memory", evidence{exit: killed, oom: own, gpus: []gpuEvidence{{lost: "x"}}}, record.OOM, "GPU 0 was lost before that: x. Try --memory 250m"},
		{"a GPU that is lost, and the job does not mind", evidence{gpus: []gpuEvidence{{lost: "x"}}}, record.Exited, "status 0. "},
		{"a GPU, and the job goes on", evidence{tail: "CUDA out of memory, trying a smaller batch\n"}, record.Exited, "status 0."},
		{"a GPU, and then memory of its own", evidence{exit: killed, oom: own, tail: "CUDA out of memory\n"}, record.OOM, "Killed: out of memory."},
		{"a job that speaks of memory", evidence{exit: failed, tail: "MemoryError: out of memory\n"}, record.Exited, "status 1."},
		{"a worker, and the job fails for it", evidence{exit: failed, oom: own}, record.OOM, "Out of memory: 1 process was killed. The limit is 200MiB; probably therefore the job then ended with status 1."},
		{"a worker, and the job does not mind", evidence{oom: own}, record.Exited, "status 0. 1 process was killed for want of memory before that."},
		{"its group went before it could be read", evidence{exit: killed, oom: metrics.OOMReport{Enclosing: 1, Limit: 200 * mib}}, record.OOM, "Probably killed for want of memory: its limit is 200MiB"},
		{"a group with others", evidence{exit: killed, oom: metrics.OOMReport{Enclosing: 1, Host: 1, EnclosingLimit: 64 * mib}}, record.OOM, "Probably killed for want of memory: the kernel ended a process of the control group that the job ran in, whose limit is 64MiB"},
		{"the machine", evidence{exit: killed, oom: metrics.OOMReport{Host: 1}}, record.OOM, "Probably killed for want of memory: this machine"},
		{"a shell whose command was killed", evidence{exit: container.Exit{Code: 137}, oom: metrics.OOMReport{Host: 1}}, record.OOM, "Probably"},
		{"the step's limit", evidence{exit: killed, oom: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: slurmStep}}, record.OOM,
			"Probably killed for want of memory: the limit of the enclosing Slurm step 7.0, 64MiB, was met, and the kernel ended a process in it. The job's peak was 0B. Ask Slurm for more memory (--mem"},
		{"the step's limit, a worker", evidence{exit: failed, oom: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: slurmStep}}, record.OOM,
			"Probably for want of memory: the limit of the enclosing Slurm step 7.0, 64MiB, was met, and the kernel ended a process in it; the job then ended with status 1. The"},
		{"a group's limit, perhaps another's process", evidence{exit: failed, oom: metrics.OOMReport{Enclosing: 1, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: "/docker/1"}}, record.Exited, "status 1."},
		{"the limit around its own was met", evidence{exit: killed, oom: metrics.OOMReport{Own: 1, OwnKnown: true, Limit: 200 * mib, EnclosingLimit: 64 * mib, EnclosingMet: true, EnclosingGroup: "/a/b"}, peaks: record.Peaks{MemoryBytes: mib}}, record.OOM,
			"The limit of the enclosing control group b, 64MiB, was met; the job's peak was 1MiB"},
		{"somebody else's misfortune", evidence{exit: failed, oom: metrics.OOMReport{Host: 1, Enclosing: 1}}, record.Exited, "status 1."},
		{"SIGBUS in a full /dev/shm", evidence{exit: container.Exit{Code: 135, Signal: unix.SIGBUS}, peaks: full, shmSize: 64 * mib}, record.ShmFull, "ended by SIGBUS when /dev/shm was full (64MiB of 64MiB). Try --shm-size 128m"},
		{"SIGBUS elsewhere", evidence{exit: container.Exit{Code: 135, Signal: unix.SIGBUS}, peaks: full, shmSize: 128 * mib}, record.Signalled, "SIGBUS"},
		{"no space in a full /dev/shm", evidence{exit: failed, peaks: full, shmSize: 64 * mib, tail: "dd: No space left on device"}, record.ShmFull, "probably therefore"},
		{"a full /dev/shm, and nothing says that it mattered", evidence{exit: failed, peaks: full, shmSize: 64 * mib, tail: "ValueError"}, record.Exited, "status 1."},
		{"a full /dev/shm and success", evidence{peaks: full, shmSize: 64 * mib, tail: "Bus error"}, record.Exited, "status 0."},
		{"time", evidence{exit: container.Exit{Code: 143, Signal: unix.SIGTERM}, limit: 4 * time.Hour}, record.Timeout, "its time limit of 4h0m0s and was asked to end; it ended with status 143"},
		{"time, and killed", evidence{exit: killed, limit: time.Hour, oom: own}, record.Timeout, "status 137"},
		{"asked", evidence{exit: killed, asked: unix.SIGTERM, oom: own}, record.Stopped, "SIGTERM"},
		{"a crash", evidence{exit: container.Exit{Code: 139, Signal: unix.SIGSEGV}}, record.Signalled, "SIGSEGV"},
	} {
		v := c.e.judge()
		if v.cause != c.cause || !strings.Contains(v.message+" "+v.advice, c.says) {
			t.Errorf("%s: %s: %s %s; want %s, %q", c.name, v.cause, v.message, v.advice, c.cause, c.says)
		}
		if v.advice == "" && c.e.exit.Code != 0 {
			t.Errorf("%s: no advice", c.name)
		}
		if certain := !strings.Contains(strings.ToLower(v.message), "probably"); v.cause == record.OOM && certain != (c.e.oom.Own > 0 && c.e.killed()) {
			t.Errorf("%s: %q, whatever is known", c.name, v.message)
		}
	}
}

// What was measured of a GPU is evidence of a job that spoke of it.
func TestGPUEvidence(t *testing.T) {
	gpus := []gpuEvidence{{peak: 5, total: 100}, {index: 1, peak: 99, own: 90, total: 100}, {index: 2, peak: 100}}
	e := evidence{exit: container.Exit{Code: 1}, tail: "CUDA out of memory", gpus: gpus}
	if r := e.record(); r == nil || r.GPU == nil || *r.GPU != (record.GPUEvidence{Index: 1, MemoryBytes: 99, JobMemoryBytes: 90, TotalBytes: 100}) {
		t.Errorf("%+v", r)
	}
	e.tail = "ValueError"
	if r := e.record(); r != nil {
		t.Errorf("of a job that did not speak of it: %+v", r)
	}
}

func TestCodesOfCauses(t *testing.T) {
	w := Watch{Codes: map[record.Cause]int{record.OOM: 85}}
	if w.code(record.OOM, 137) != 85 || w.code(record.Exited, 3) != 3 {
		t.Errorf("%d, %d", w.code(record.OOM, 137), w.code(record.Exited, 3))
	}
}
