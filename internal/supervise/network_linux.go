package supervise

import (
	"time"

	"github.com/coracle-run/coracle/runtime/network"
)

// helperGrace is how long the job's end may take to be seen after that of the program which connects its network: with the job it ends
// as well.
const helperGrace = 2 * time.Second

// WatchNetwork tells when the program that connects the job's private network ends while the job runs: nothing else would say why
// the job's connections hang.
func (s *Supervision) WatchNetwork(config network.Config) {
	if config.Mode != network.Private {
		return
	}
	name := config.Helper.Name
	gone := s.Box.Helper(config.Helper.Processes()...)
	if gone == nil {
		return
	}
	go func() {
		select {
		case <-s.Box.Ended():
			return
		case <-gone:
		}
		select {
		case <-s.Box.Ended():
		case <-time.After(helperGrace):
			s.Event("network-lost", map[string]any{"helper": name})
			s.Notice(name + ", which connects the job's network, has ended before the job: the job reaches nothing any more, and nothing reaches it")
		}
	}()
}
