package job

import (
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/runtime/cgroup"
)

// ShmBytes is how large the /dev/shm of a job is that nobody says anything about.
func ShmBytes(environ []string) (int64, error) {
	facts, err := host.Read()
	if err != nil {
		return 0, err
	}
	around := cgroup.Read(cgroup.Look{Batch: sched.Batch(environ)})
	return shmBytes(Limits{}, around, sched.Allocated(environ), facts), nil
}

// shmBytes is half of the memory that a job may use.
func shmBytes(l Limits, around cgroup.Host, allocated sched.Allocation, facts host.Facts) int64 {
	return memory(l.MemoryBytes, around.Encloses.MemoryBytes, allocated.MemoryBytes, facts.MemoryBytes) / 2
}
