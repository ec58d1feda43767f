package supervise

import (
	"os"
	"runtime"
	"testing"
)

func TestThreadsAreThereBeforeTheJob(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	ReserveThreads()()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if want := runtime.GOMAXPROCS(0) + spareThreads; len(tasks) < want {
		t.Errorf("%d threads, want %d", len(tasks), want)
	}
}
