package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Joins reports whether the container is shared with others' jobs.
func (b *Container) Joins() bool { return b.shared != nil }

// Stop has the kernel stop every process of the container (SIGSTOP), those of Exec among them, but for its init, which answers signals
// meanwhile. None is forgotten that is being forked. Nobody inside can prevent that; parents may see it (WUNTRACED, waitpid(2)).
// It is not for a container that others share.
func (b *Container) Stop(ctx context.Context) error { return b.everybody(ctx, unix.SIGSTOP) }

// Continue has them go on, also one that had stopped itself.
func (b *Container) Continue(ctx context.Context) error { return b.everybody(ctx, unix.SIGCONT) }

// everybody has the keeper send a signal to all processes of the container.
func (b *Container) everybody(ctx context.Context, signal unix.Signal) (err error) {
	text, err := json.Marshal(ExecRequest{Everybody: int(signal)})
	if err != nil {
		return err
	}
	request, err := sys.Memfd("signal", text)
	if err != nil {
		return err
	}
	defer request.Close()
	socket, peer, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	err = SendFiles(b.further.socket, []*os.File{request, peer})
	if err := errors.Join(err, peer.Close()); err != nil {
		return gone(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var reply ExecReply
	if err := json.NewDecoder(socket).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return gone(err)
	}
	if reply.Failed != "" {
		return fmt.Errorf("signalling all processes of the job: %s", reply.Failed)
	}
	return nil
}
