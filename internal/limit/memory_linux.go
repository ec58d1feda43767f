package limit

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
	return leastMemory(l.MemoryBytes, around.Encloses.MemoryBytes, allocated.MemoryBytes, facts.MemoryBytes) / 2
}

// leastMemory is the least of several limits, of which 0 is none.
func leastMemory(limits ...int64) (least int64) {
	for _, bytes := range limits {
		if bytes > 0 && (least == 0 || bytes < least) {
			least = bytes
		}
	}
	return least
}
