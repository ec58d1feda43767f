package initproc

/*
#include "fence.h"
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/sys"
)

// fence are the namespaces of a job that holds CAP_SYS_ADMIN: a user namespace below the keeper's with the same ids, and others that
// belong to it, over which the job has what it was given. Its mounts are a copy that init makes there once all is mounted
// (enter_fence in job.c): the kernel keeps the job from changing what the copy has of the container's.
type fence struct{ user, uts, net *os.File } // net: nil where the host's counts

// fenced: the job could change its mounts.
func (k *keeper) fenced() bool {
	return slices.Contains(k.held(), "CAP_SYS_ADMIN")
}

// openFence makes the namespaces of the fence, where there is to be one.
func (k *keeper) openFence() error {
	if !k.fenced() {
		return nil
	}
	f, err := newFence(k.request.IDs, k.request.Network.Mode.Own())
	if err != nil {
		return fmt.Errorf("making a user namespace for a job that may mount: %w", err)
	}
	k.fence = f
	return nil
}

// newFence makes them by a process that it ends.
func newFence(ids host.IDMap, net bool) (f *fence, err error) {
	flags := unix.CLONE_NEWUSER | unix.CLONE_NEWUTS
	if net {
		flags |= unix.CLONE_NEWNET
	}
	pid, err := hold(flags)
	if err != nil {
		return nil, err
	}
	child := sys.NewChild(pid)
	defer func() {
		_ = child.Kill(unix.SIGKILL, false) // it waits for nothing else
		child.Wait()
	}()
	dir := fmt.Sprintf("/proc/%d/", pid)
	f = &fence{}
	for _, n := range []struct {
		file **os.File
		name string
	}{{&f.user, "user"}, {&f.uts, "uts"}, {&f.net, "net"}} {
		if n.name == "net" && !net {
			continue
		}
		if *n.file, err = os.Open(dir + "ns/" + n.name); err != nil {
			return nil, err
		}
	}
	return f, errors.Join(writeIDs(dir+"uid_map", ids.UIDs), writeIDs(dir+"gid_map", ids.GIDs))
}

// hold clones the process and waits until it is where it is to be.
func hold(namespaces int) (pid int, err error) {
	answer, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	cloned, err := C.coracle_hold(C.int(namespaces), C.int(theirs.Fd()))
	_ = theirs.Close() // else its death would not be noticed
	if cloned < 0 {
		return 0, os.NewSyscallError("clone", err)
	}
	var errno int32
	err = binary.Read(answer, binary.NativeEndian, &errno)
	if err == nil && errno != 0 {
		err = os.NewSyscallError("limiting its cgroup namespaces", unix.Errno(errno))
	}
	if err != nil {
		child := sys.NewChild(int(cloned))
		_ = child.Kill(unix.SIGKILL, false) // it may have ended
		child.Wait()
	}
	return int(cloned), err
}

// writeIDs maps the ids of the keeper's namespace to themselves; without any, that is root alone.
func writeIDs(path string, ranges []host.IDRange) error {
	if len(ranges) == 0 {
		ranges = []host.IDRange{{Size: 1}}
	}
	var text strings.Builder
	for _, r := range ranges {
		fmt.Fprintf(&text, "%d %d %d\n", r.Inside, r.Inside, r.Size)
	}
	return writeMap(path, text.String())
}

func writeMap(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text) // at once, as user_namespaces(7) demands
	return errors.Join(err, file.Close())
}

// network is the network namespace of the fence; nil: there is none.
func (f *fence) network() *os.File {
	if f == nil {
		return nil
	}
	return f.net
}

// specify has a container join what belongs to the fence. The network it joins by its own path (link.specify).
func (f *fence) specify(s *specs.Spec) error {
	if f == nil {
		return nil
	}
	s.Linux.Namespaces = slices.Clone(s.Linux.Namespaces)
	for i, n := range s.Linux.Namespaces {
		if n.Type == specs.UTSNamespace {
			s.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.uts.Fd())
		}
	}
	return nil
}
