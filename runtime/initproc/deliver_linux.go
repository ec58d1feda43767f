package initproc

import (
	"os"
	"os/signal"
	"time"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/runtime/container"
)

// spare has the signals that a batch system sends to all processes of a step end nobody but those whom they are for: the job is to
// have its time. Until it runs, there is nothing to spare.
func spare() {
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGXCPU)
}

// deliver hands signals to the job in init's place, as init would, until the keeper ends (see take and deliver in init.c). The job, which
// is PID 1 itself, cannot tell what has come to all processes: its keeper can, to which nobody sends anything else.
func (k *keeper) deliver(process *libcontainer.Process) {
	pid, err := process.Pid()
	if err != nil {
		return // it has ended
	}
	own := make(chan os.Signal, 64)
	signal.Notify(own, members(k.request.Passed)...)
	asked := make(chan unix.Signal)
	go func() {
		for {
			var s container.Signal
			if err := k.requests.Decode(&s); err != nil {
				return // the supervisor is gone, and the kernel is about to end this process
			}
			asked <- unix.Signal(s.Number)
		}
	}()
	go k.pair(pid, asked, own)
}

// pair delivers what only the supervisor has got.
func (k *keeper) pair(pid int, asked <-chan unix.Signal, own <-chan os.Signal) {
	const moment = 20 * time.Millisecond // that the supervisor may be ahead, as init has it
	p := pairs{}
	due := time.NewTimer(0)
	for {
		select {
		case sig := <-asked:
			if sig == unix.SIGKILL || p.ask(sig, time.Now(), moment) {
				send(pid, sig)
			}
		case sig := <-own:
			if number, ok := sig.(unix.Signal); ok {
				p.come(number, time.Now())
				k.tell(number)
			}
		case <-due.C:
		}
		ready, wait := p.due(time.Now())
		for _, sig := range ready {
			send(pid, sig)
		}
		if wait > 0 {
			due.Reset(wait)
		}
	}
}

// tell has the supervisor know that a signal came to all.
func (k *keeper) tell(sig unix.Signal) {
	k.replying.Lock()
	defer k.replying.Unlock()
	_ = k.replies.Encode(container.Reply{Signalled: int(sig)}) // a supervisor that is gone has nothing to be told
}

// send delivers a signal to the job: what a terminal's key would send, to its whole process group.
func send(pid int, sig unix.Signal) {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT:
		pid = -pid
	}
	_ = unix.Kill(pid, sig) // a job that has ended needs none
}

// members are the signals of a set with one bit each.
func members(set uint64) (list []os.Signal) {
	for n := range 64 {
		if set&(1<<n) != 0 {
			list = append(list, unix.Signal(n+1))
		}
	}
	return list
}

// pairs tells signals that the supervisor alone has got from those that came to all processes.
type pairs map[unix.Signal]seen

// seen is when a signal came: by the supervisor, until when it is held back, or to the keeper.
type seen struct {
	held bool
	at   time.Time
}

// lately is how long ago the keeper's own may have come for both to be the same.
const lately = time.Second

// ask takes a signal from the supervisor, and reports whether one of the same number that was held back has to go first.
func (p pairs) ask(sig unix.Signal, now time.Time, moment time.Duration) (before bool) {
	s, ok := p[sig]
	if ok && !s.held && now.Sub(s.at) < lately {
		delete(p, sig) // everybody has had it
		return false
	}
	p[sig] = seen{held: true, at: now.Add(moment)}
	return ok && s.held
}

// come takes a signal that has come to the keeper.
func (p pairs) come(sig unix.Signal, now time.Time) {
	if p[sig].held {
		delete(p, sig)
		return
	}
	p[sig] = seen{at: now}
}

// due are the signals whose time is up, and how long it is until the next one's; 0: there is none.
func (p pairs) due(now time.Time) (ready []unix.Signal, wait time.Duration) {
	for sig, s := range p {
		switch left := s.at.Sub(now); {
		case !s.held:
		case left <= 0:
			ready = append(ready, sig)
			delete(p, sig)
		case wait == 0 || left < wait:
			wait = left
		}
	}
	return ready, wait
}
