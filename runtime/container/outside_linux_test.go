package container

import (
	"syscall"
	"testing"
	"time"
)

// Signals of which nobody takes notice do not keep out the one that counts.
func TestNewestSignalIsKept(t *testing.T) {
	list := make(chan Outside, 3)
	for n := range 10 {
		keepNewest(list, Outside{syscall.Signal(n), time.Now()})
	}
	for want := 7; want < 10; want++ {
		if got := <-list; int(got.Signal) != want {
			t.Errorf("signal %d, want %d", got.Signal, want)
		}
	}
}
