package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// share of the compressed bytes after which a pull is killed.
const share = 0.9

// resumeTables measures the second half of a pull: the one after another was killed at 90 % of the image's bytes.
func resumeTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	return eachSubject(ctx, b, o, "resume", func(s subject, r *registry) field {
		f := pullField(b, s, r)
		f.subject = fmt.Sprintf("%s; the pull after one that was killed (-9) when %.0f %% were sent", s, 100*share)
		f.reference, f.peer, f.rounds = coraclePull+", whole", "", 3
		whole := func(ctx context.Context, _ int) *exec.Cmd { return coracle(ctx, b, b.storeDir(), "pull", r.ref) }
		f.contenders = []contender{
			{name: f.reference, program: b.coracle, before: b.fresh, command: whole},
			{name: coraclePull + ", the rest", program: b.coracle, before: interrupted(ctx, b, s, r, whole), command: whole},
		}
		again := func(ctx context.Context, _ int) *exec.Cmd {
			return podman(ctx, b, b.storeDir(), "pull", "--quiet", "--tls-verify=false", r.ref)
		}
		f.contenders = append(f.contenders, contender{name: podmanPull + ", the rest", program: "podman",
			before: interrupted(ctx, b, s, r, again), command: again})
		return f
	})
}

// interrupted makes a fresh store and kills a pull into it.
func interrupted(ctx context.Context, b *workshop, s subject, r *registry, command func(context.Context, int) *exec.Cmd) func() error {
	return func() error {
		if err := b.fresh(); err != nil {
			return err
		}
		return killAt(command(ctx, 0), r, int64(share*float64(s.image.Size())))
	}
}

var errTooFast = errors.New("the pull that was to be killed was done before")

// killAt runs a command and kills it and its process group once the registry has served so many bytes for it.
func killAt(cmd *exec.Cmd, r *registry, bytes int64) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := r.served.Load()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for r.served.Load()-start < bytes {
		select {
		case err := <-ended:
			return errors.Join(errTooFast, err)
		case <-tick.C:
		}
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		return errors.Join(errTooFast, err, <-ended)
	}
	if <-ended == nil {
		return errTooFast
	}
	return nil
}
