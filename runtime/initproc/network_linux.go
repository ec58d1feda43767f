package initproc

import (
	"errors"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/trace"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
)

// link is the container's own network, where it has one; nil is the host's.
type link struct {
	namespace network.Namespace
	ready     chan error // brings how connecting it to the host's went
}

const sysDir = workshop + "/sys"

// openNetwork makes the network namespace and begins to connect it, which takes longer than all else: it goes on while the
// container is being prepared.
func (k *keeper) openNetwork() (*link, error) {
	c := k.request.Network
	if !c.Mode.Own() {
		return nil, nil
	}
	unix.CloseOnExec(container.KeeperSocket) // not the helper's, as nothing else of ours is
	namespace, err := network.NewNamespace(sysDir, k.fence.network())
	if err != nil {
		return nil, fault{container.FaultNetwork, err}
	}
	l := &link{namespace: namespace, ready: make(chan error, 1)}
	if c.Mode != network.Private {
		l.ready <- nil
		return l, nil
	}
	go func() {
		err := network.Connect(c, namespace, workshop)
		trace.Mark(trace.Keeper, "network connected")
		l.ready <- err
	}()
	return l, nil
}

// await waits until the network is up, so that the job's first connection finds it.
func (l *link) await() error {
	if l == nil {
		return nil
	}
	if err := <-l.ready; err != nil {
		return fault{container.FaultNetwork, err}
	}
	return nil
}

// closeNetwork ends the helper when the job has ended, so that its ports are free when the supervisor hears of that. By then there is
// nobody else in this pid namespace, whose first process this is.
func (k *keeper) closeNetwork() {
	if k.request.Network.Mode != network.Private {
		return
	}
	_ = unix.Kill(-1, unix.SIGKILL) // fails when there is nobody
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// specify has a container join the namespace, and see its devices in /sys instead of the host's.
func (l *link) specify(s *specs.Spec) error {
	if l == nil {
		return nil
	}
	s.Linux.Namespaces = slices.Clone(s.Linux.Namespaces)
	for i, n := range s.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			s.Linux.Namespaces[i].Path = l.namespace.Path
		}
	}
	if !l.namespace.Sysfs {
		return nil
	}
	s.Mounts = slices.Clone(s.Mounts)
	at := slices.IndexFunc(s.Mounts, func(m specs.Mount) bool { return m.Destination == "/sys" })
	if at < 0 {
		return errors.New("the specification has no /sys")
	}
	s.Mounts[at].Source = sysDir
	return nil
}
