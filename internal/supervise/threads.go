package supervise

import (
	"runtime"
	"sync"
)

// A Go program is ended by its runtime when the kernel gives it no thread, and the job counts against the same limit of
// processes (RLIMIT_NPROC) as its supervisor: a job that forks without end would take its record with it.
const (
	supervisorCPUs = 4 // copying output needs no more
	// Beside one thread for each of these: two writes to the caller, two to the log, the wait for the keeper, signals, the
	// runtime's own two, and some that one did not think of. Each costs a start 0.07 ms of processor time, and its end 0.02.
	spareThreads = 12
)

// ReserveThreads begins to make the threads that supervising will need, beside other work. The runtime keeps threads that have nothing to do.
// The caller waits for them, by what it returns, before the job may begin: while there is room for them.
func ReserveThreads() (wait func()) {
	reserved := make(chan struct{})
	go func() {
		defer close(reserved)
		makeThreads()
	}()
	return func() { <-reserved }
}

func makeThreads() {
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), supervisorCPUs))
	var there sync.WaitGroup
	release := make(chan struct{})
	reserved := runtime.GOMAXPROCS(0) + spareThreads
	there.Add(reserved)
	for range reserved {
		go func() {
			runtime.LockOSThread() // so that each has one of its own
			defer runtime.UnlockOSThread()
			there.Done()
			<-release
		}()
	}
	there.Wait()
	close(release)
}
