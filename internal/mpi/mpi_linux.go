// Package mpi gives a job its part in a parallel program: what it needs to reach the server of the launcher that has started it, by PMIx or PMI2.
package mpi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/spec"
)

// ErrNone marks a way for parallel programs that the launcher does not offer, or that the job cannot use.
var ErrNone = errors.New("no such MPI here")

// Request is what a job is to have of its launcher's, and what it cannot have for being what it is.
type Request struct {
	Way     sched.MPI    // "": what the launcher offers
	Network network.Mode // of the job
	Shared  bool         // its container, with the other ranks on this node

	// A server may know its clients by their numbers: AsCaller says that the job has the caller's, Undecided that nobody has said which it
	// is to have.
	AsCaller, Undecided bool

	Environ []string // the caller's
	Notice  func(string)
}

// Part is what a job gets of its launcher's, to be one of the processes of a parallel program.
type Part struct {
	AsCaller bool // the job has to have the caller's numbers, of which nobody has said anything

	way    sched.MPI
	asked  bool     // for by name
	places []string // of the host, at the same paths inside
	Socket *os.File // PMI2's; nil: none
	env    []string // where nobody else sets them
}

// Open decides by which way the job learns of the others, and has of it what can be had now. Before anything is started: no
// program but the job is to have the launcher's socket. The caller closes what it returns. The error wraps ErrNone.
func Open(r Request) (p Part, err error) {
	ways := sched.Ways(r.Environ)
	p = Part{way: sched.NoMPI, asked: r.Way != ""}
	socket, lost := inheritedSocket(r.Environ)
	if socket != nil {
		defer func() {
			if p.Socket == nil {
				_ = socket.Close() // nobody needs it
			}
		}()
		if err := sys.KeepDescriptors(); err != nil {
			return p, err
		}
	}
	if p.asked {
		if r.Way != sched.NoMPI && !slices.Contains(ways, r.Way) {
			return p, fmt.Errorf("%w: --mpi %s: whoever has started this process offers %s", ErrNone, r.Way, offered(ways))
		}
		ways = []sched.MPI{r.Way}
	}
	for _, way := range ways {
		switch way {
		case sched.PMIx:
			err = p.openPMIx(r)
		case sched.PMI2:
			p.Socket, err = socket, lost
		default:
			return p, nil
		}
		if err == nil {
			if p.way = way; !r.Shared {
				p.env = sched.WithoutSharedMemory(r.Environ)
			}
			return p, nil
		}
		p.AsCaller, p.places = false, nil // nothing of a way that is not taken
		if p.asked {
			return p, fmt.Errorf("%w: --mpi %s: %w", ErrNone, way, err)
		}
		r.Notice(fmt.Sprintf("the job has no part in the launcher's MPI (%s): %v", way, err))
	}
	return p, nil
}

func offered(ways []sched.MPI) string {
	if len(ways) == 0 {
		return "none (neither PMIX_NAMESPACE, PMIX_RANK and PMIX_SERVER_URI... nor PMI_FD)"
	}
	return string(ways[0]) + " alone"
}

// openPMIx finds what of PMIx's server the job has to see. The server knows its clients by their numbers, so that the job has to
// have the caller's.
func (p *Part) openPMIx(r Request) error {
	switch {
	case r.Network.Own() && sched.PMIxNeedsNetwork(r.Environ):
		return fmt.Errorf("its server is reached by the host's network, and the job has --network %s", r.Network)
	case r.Undecided:
		p.AsCaller = true
	case !r.AsCaller:
		return errors.New("its server takes nobody but you, by your own numbers: it takes --userns host-uid, and no --user")
	}
	for _, pattern := range sched.PMIxPlaces(r.Environ) {
		for _, path := range placesOf(pattern) {
			if err := p.addPlace(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// placesOf are the places that a pattern means; a path is itself. A pattern is of a directory in which anybody may put files and links
// by such names: there a place is root's or the caller's, and no link.
func placesOf(pattern string) (paths []string) {
	if !strings.HasSuffix(pattern, "*") {
		return []string{pattern}
	}
	found, _ := filepath.Glob(pattern) // one that is none means nothing
	for _, path := range found {
		var st unix.Stat_t
		err := unix.Lstat(path, &st)
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFLNK && (st.Uid == 0 || int(st.Uid) == os.Getuid()) {
			paths = append(paths, path)
		}
	}
	return paths
}

// addPlace takes a place of PMIx's server that is the caller's own, as a launcher makes it for a job: a directory of everybody's, as
// /tmp, the job does not see.
func (p *Part) addPlace(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("its server's place %s: %w", path, err)
	}
	shared := st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) != os.Getuid()
	within := slices.ContainsFunc(p.places, func(above string) bool { return strings.HasPrefix(path, above+"/") })
	if !shared && !within && !container.InWorkshop(path) {
		p.places = append(p.places, path)
	}
	return nil
}

// inheritedSocket is the one that PMI2's launcher has left to this process, or why there is none. A descriptor that programs do not
// inherit is of this program's own making: the launcher's was closed on the way, and its number is somebody else's now.
func inheritedSocket(environ []string) (*os.File, error) {
	text, _ := env.Lookup(environ, sched.PMIFD)
	fd, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("%s=%s is no descriptor", sched.PMIFD, text)
	}
	var st unix.Stat_t
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil || flags&unix.FD_CLOEXEC != 0 || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("%s=%s is no open socket: it was closed between the launcher and here", sched.PMIFD, text)
	}
	return os.NewFile(uintptr(fd), sched.PMIFD), nil
}

// Variables are those of the launcher's that the job gets, with the descriptor by the number that it has inside.
func (p *Part) Variables(inherited []string) (kept []string) {
	for _, v := range inherited {
		switch {
		case strings.HasPrefix(v, sched.PMIFD+"="):
			if p.Socket != nil {
				kept = append(kept, sched.PMIFD+"="+strconv.Itoa(container.LauncherFD))
			}
		case p.way == sched.NoMPI && p.asked && sched.OfMPI(v):
		default:
			kept = append(kept, v)
		}
	}
	return kept
}

// Specify completes a specification. What the user mounts in a place stays, as does what anybody sets of the variables.
func (p *Part) Specify(s *specs.Spec) {
	if p.way == sched.NoMPI {
		return
	}
	d := spec.Devices{Env: p.env}
	for _, place := range p.places {
		d.Mounts = append(d.Mounts, specs.Mount{Destination: place, Type: "bind", Source: place, Options: []string{"bind", "nosuid", "nodev", "rprivate"}})
	}
	spec.AddDevices(s, d, s.Process.Env)
}

// Record is what the record says of it; nil: nothing was asked for and there was nothing.
func (p *Part) Record() *record.MPI {
	if p.way == sched.NoMPI && !p.asked {
		return nil
	}
	return &record.MPI{Way: string(p.way), Places: p.places}
}

// Close gives up the socket, which then is the job's alone.
func (p *Part) Close() {
	if p.Socket != nil {
		_ = p.Socket.Close() // somebody else may have closed it
		p.Socket = nil
	}
}
