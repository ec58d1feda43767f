package doctor

import (
	"context"
	"fmt"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/sched"
)

// What is little of something, for training jobs.
const (
	leastFiles     = 4096
	leastProcesses = 4096
	leastMemlock   = 1 << 30
	leastShm       = 1 << 30
)

// unlimited is what the kernel has for no limit (getrlimit(2)).
const unlimited = ^uint64(0)

// memlock: memory that network cards read by themselves is locked.
func (p *patient) memlock(context.Context) []Finding {
	l, err := rlimit(unix.RLIMIT_MEMLOCK)
	switch {
	case err != nil:
		return []Finding{note(err.Error(), "")}
	case l.Max == unlimited:
		return []Finding{ok("as much memory as there is can be locked")}
	case l.Max >= leastMemlock:
		return []Finding{ok(fmt.Sprintf("%s of memory can be locked", units.BytesSize(float64(l.Max))))}
	}
	fix := `the lines "* soft memlock unlimited" and "* hard memlock unlimited" in /etc/security/limits.d/memlock.conf`
	if sched.Batch(p.Environ) == "Slurm" {
		fix = `"PropagateResourceLimitsExcept=MEMLOCK" in slurm.conf, and "LimitMEMLOCK=infinity" for slurmd.service`
	}
	return []Finding{note(fmt.Sprintf("%s of memory can be locked", units.BytesSize(float64(l.Max))),
		"InfiniBand and other RDMA, as NCCL and MPI use them, need more; single machines and Ethernet do not").by(Administrator, fix)}
}

// files: data loaders and many ranks open many.
func (p *patient) files(context.Context) []Finding {
	l, err := rlimit(unix.RLIMIT_NOFILE)
	switch {
	case err != nil:
		return []Finding{note(err.Error(), "")}
	case l.Max < leastFiles:
		return []Finding{warning(fmt.Sprintf("a process can have %d open files, and no more", l.Max), "data loaders and jobs of many ranks need more; a pull with many connections, too").
			by(Administrator, fmt.Sprintf(`the line "* hard nofile %d" in /etc/security/limits.d/nofile.conf`, 1<<20))}
	}
	return []Finding{ok(fmt.Sprintf("a process can have %d open files (%d if it asks for no more)", l.Max, l.Cur))}
}

// processes: threads count.
func (p *patient) processes(context.Context) []Finding {
	l, err := rlimit(unix.RLIMIT_NPROC)
	switch {
	case err != nil:
		return []Finding{note(err.Error(), "")}
	case l.Cur < leastProcesses:
		f := warning(fmt.Sprintf("you can have %d processes and threads at once, on all of this machine", l.Cur), "libraries for numbers start a thread for each CPU and process: forks fail, with 'Resource temporarily unavailable'")
		if l.Max >= leastProcesses {
			return []Finding{f.by(You, fmt.Sprintf("ulimit -u %d", min(l.Max, 1<<16)))}
		}
		return []Finding{f.by(Administrator, fmt.Sprintf(`the line "* hard nproc %d" in /etc/security/limits.d/nproc.conf`, 1<<16))}
	case l.Cur == unlimited:
		return []Finding{ok("you can have as many processes and threads as the machine")}
	}
	return []Finding{ok(fmt.Sprintf("you can have %d processes and threads at once", l.Cur))}
}

func rlimit(which int) (l unix.Rlimit, err error) {
	if err := unix.Getrlimit(which, &l); err != nil {
		return l, fmt.Errorf("getrlimit: %w", err)
	}
	return l, nil
}

// shm tells how large a job's /dev/shm will be.
func (p *patient) shm(context.Context) []Finding {
	bytes, err := limit.ShmBytes(p.Environ)
	switch {
	case err != nil:
		return []Finding{note(err.Error(), "")}
	case bytes < leastShm:
		return []Finding{warning(fmt.Sprintf("a job's /dev/shm is %s large, half of the memory that it may use", units.BytesSize(float64(bytes))),
			"PyTorch's data loaders hand batches on by it: they end with a bus error when it is full").by(You, "run --shm-size 2g, and more memory for the job")}
	}
	return []Finding{ok(fmt.Sprintf("a job's own is %s large, half of the memory that it may use", units.BytesSize(float64(bytes))))}
}
