package job

import (
	"time"

	"github.com/coracle-run/coracle/runtime/network"
)

// helperGrace is how long the job's end may take to be seen after that of the program which connects its network: with the job it ends
// as well.
const helperGrace = 2 * time.Second

// watchNetwork tells when the program that connects the job's private network ends while the job runs: nothing else would say why
// the job's connections hang.
func (a *attempt) watchNetwork(s *supervision) {
	config := a.options.Network.config
	if config.Mode != network.Private {
		return
	}
	name := config.Helper.Name
	gone := s.box.Helper(config.Helper.Processes()...)
	if gone == nil {
		return
	}
	go func() {
		select {
		case <-s.box.Ended():
			return
		case <-gone:
		}
		select {
		case <-s.box.Ended():
		case <-time.After(helperGrace):
			s.event("network-lost", map[string]any{"helper": name})
			s.notice(name + ", which connects the job's network, has ended before the job: the job reaches nothing any more, and nothing reaches it")
		}
	}()
}
