package container

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/trace"
)

// listen waits for init's last report. The job runs as the same user and might get hold of init's socket; all that it could
// say there is how it ended itself.
func (b *Container) listen() {
	defer close(b.ended)
	if b.noInit {
		for {
			b.reply, _ = b.keeper.reply() // one that died has said nothing
			if b.reply.Signalled == 0 {
				return
			}
			keepNewest(b.outside, Outside{syscall.Signal(b.reply.Signalled), time.Now()})
		}
	}
	for {
		r, err := b.report()
		if err != nil {
			return
		}
		if r.Kind == ReportSignal {
			keepNewest(b.outside, Outside{syscall.Signal(r.Value), time.Now()})
			continue
		}
		if r.Kind == ReportEnded {
			trace.MarkAt(r.Nanoseconds, trace.Init, "saw the job end")
			b.last = &r
			return
		}
	}
}

// Kill ends the container from outside, with everything in it, whatever state it is in.
func (b *Container) Kill() error { return b.keeper.kill() }

// Ended is closed when the job has ended; Wait then returns soon.
func (b *Container) Ended() <-chan struct{} { return b.ended }

// Outside has the signals that somebody outside has sent to the container's init itself, or where there is none to its keeper. Who does
// that, a batch system, sends them to all processes, and the job has had them.
func (b *Container) Outside() <-chan Outside { return b.outside }

// Outside is a signal that came to init itself.
type Outside struct {
	Signal syscall.Signal
	At     time.Time
}

// keepNewest sends without waiting: what nobody has taken makes room.
func keepNewest(to chan Outside, one Outside) {
	for {
		select {
		case to <- one:
			return
		default:
		}
		select {
		case <-to:
		default:
		}
	}
}

// keeperGrace is how long the keeper may take to end after the job.
const keeperGrace = 10 * time.Second

// Wait waits for the end of the job and of everything that came of it, and says how it ended. What held it may still be on its
// way out then.
func (b *Container) Wait() (Exit, error) {
	<-b.ended
	wall := b.elapsed()
	further := b.usedFurther()
	if b.last != nil {
		exit := exitOf(syscall.WaitStatus(b.last.Value), b.until(b.last.Nanoseconds), b.last.usage().plus(further))
		exit.IO = b.last.IO
		return exit, nil
	}
	b.Over()
	if b.reply.Ended { // the job itself was init, or init was killed: by the kernel for want of memory or by somebody outside
		return exitOf(syscall.WaitStatus(b.reply.Status), b.until(b.reply.Nanoseconds), b.reply.Usage.plus(further)), nil
	}
	return Exit{Code: 128 + int(unix.SIGKILL), Signal: unix.SIGKILL, Wall: wall, Usage: b.usage}, nil
}

// Over waits until nothing runs in the container any more. It follows Wait. What held it, the keeper with its mounts, may still
// be on its way out: it holds nothing that anybody could want.
func (b *Container) Over() { b.over.Do(b.awaitInit) }

func (b *Container) awaitInit() {
	// The keeper has little to do until then. One that somebody has stopped (SIGSTOP) never does it.
	stuck := time.AfterFunc(keeperGrace, func() { _ = b.keeper.end() }) // fails only when it has ended meanwhile
	defer stuck.Stop()
	if !b.noInit {
		b.reply, _ = b.keeper.reply() // one that died has said nothing
	}
	if b.further.any.Load() { // those that are left end with the keeper
		_ = b.keeper.release()
	}
	if !b.reply.Ended || b.further.any.Load() {
		b.usage = b.keeper.wait()
	}
	b.further.wait.Wait()
	if b.shared != nil {
		_, b.leaveErr = b.shared.Leave()
	}
}

// Settle has the keeper force the files of a directory to disk, with their names. Nobody waits for that, this process need not be
// there any more. It follows Over; false: there is no keeper that could.
func (b *Container) Settle(dir *os.File) bool {
	return b.reply.Ended && !b.noInit && b.shared == nil && SendFiles(b.keeper.socket, []*os.File{dir}) == nil
}

// Close lets the keeper go, which ends by itself, and waits for nothing. It follows Over and Settle.
func (b *Container) Close() error {
	err := errors.Join(b.keeper.release(), b.control.Close(), b.leaveErr)
	if b.shared != nil {
		return err
	}
	return errors.Join(err, b.further.socket.Close())
}

// Gone waits until the keeper has ended as well. It follows Close.
func (b *Container) Gone() { <-b.keeper.done }

func exitOf(status syscall.WaitStatus, wall time.Duration, usage Usage) Exit {
	if status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: status.Signal(), Wall: wall, Usage: usage}
	}
	return Exit{Code: status.ExitStatus(), Wall: wall, Usage: usage}
}
