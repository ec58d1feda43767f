package signals

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSignalsBeforeTheJobEndThePreparation(t *testing.T) {
	s, ctx := Listen(t.Context())
	<-s.Ready
	defer s.Stop()
	s.C <- unix.SIGUSR1 // for a job that is not there yet: nothing
	s.C <- unix.SIGINT
	<-ctx.Done()
	if late := s.HandOver(ctx, time.Now()); !slices.Equal(late, []os.Signal{unix.SIGINT}) {
		t.Errorf("the signal that came early is lost: %v", late)
	}
	stop := InterruptError{}
	if !errors.As(context.Cause(ctx), &stop) || stop.Status() != 130 || stop.Error() != "interrupted by SIGINT" {
		t.Error(context.Cause(ctx))
	}
}

func TestASignalThatComesTwiceIsOne(t *testing.T) {
	s, ctx := Listen(t.Context())
	<-s.Ready
	defer s.Stop()
	for range 2 { // as timeout sends it; the second would end this test
		if err := unix.Kill(unix.Getpid(), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
	}
	if late := s.HandOver(ctx, time.Now()); !slices.Equal(late, []os.Signal{unix.SIGTERM}) {
		t.Errorf("the signal is lost: %v", late)
	}
	select {
	case sig := <-s.C:
		t.Errorf("%v has come twice to the job", sig)
	default:
	}
}

func TestHandOverWithoutASignal(t *testing.T) {
	s, ctx := Listen(t.Context())
	<-s.Ready
	defer s.Stop()
	if late := s.HandOver(ctx, time.Now()); late != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", late, ctx.Err())
	}
}

// A job may ask for a signal as soon as it runs, before its supervisor has heard that it does.
func TestSignalsOfTheFirstMomentReachTheJob(t *testing.T) {
	s, ctx := Listen(t.Context())
	<-s.Ready
	defer s.Stop()
	const next = unix.SIGWINCH // whoever has taken it has noted when the one before came
	send := func(sig os.Signal) {
		s.C <- sig
		s.C <- next
		for len(s.C) > 0 {
			time.Sleep(time.Millisecond)
		}
	}
	send(unix.SIGUSR1)
	started := time.Now()
	send(unix.SIGUSR2)
	late := slices.DeleteFunc(s.HandOver(ctx, started), func(sig os.Signal) bool { return sig == next })
	if !slices.Equal(late, []os.Signal{unix.SIGUSR2}) {
		t.Errorf("%v", late)
	}
}

func TestAReaderThatStallsHoldsNobody(t *testing.T) {
	never := make(chan error)
	s, _ := Listen(t.Context())
	<-s.Ready
	defer s.Stop()
	s.C <- unix.SIGUSR1
	s.C <- unix.SIGTERM
	close(s.early)
	<-s.quiet
	s.C <- unix.SIGTERM
	if err := s.Await(never, 0); !errors.Is(err, ErrImpatient) {
		t.Errorf("after a signal: %v", err)
	}
	if err := s.Await(never, time.Millisecond); !errors.Is(err, ErrImpatient) {
		t.Errorf("of a job that was asked to end: %v", err)
	}
	done := make(chan error, 1)
	done <- nil
	if err := s.Await(done, 0); err != nil {
		t.Error(err)
	}
}
