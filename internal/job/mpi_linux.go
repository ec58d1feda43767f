package job

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

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/spec"
)

// parallel is what a job gets of its launcher's, to be one of the processes of a parallel program.
type parallel struct {
	way    sched.MPI
	asked  bool     // for by name
	places []string // of the host, at the same paths inside
	socket *os.File // PMI2's; nil: none
	env    []string // where nobody else sets them
}

// openMPI decides by which way the job learns of the others, and has of it what can be had now. Before anything is started: no
// program but the job is to have the launcher's socket. The caller closes what it returns.
func (r *Runner) openMPI(o *Options) (p parallel, err error) {
	ways := sched.Ways(r.Environ)
	p = parallel{way: sched.NoMPI, asked: o.MPI != ""}
	socket, lost := r.inheritedSocket()
	if socket != nil {
		defer func() {
			if p.socket == nil {
				_ = socket.Close() // nobody needs it
			}
		}()
		if err := sys.KeepDescriptors(); err != nil {
			return p, err
		}
	}
	if p.asked {
		if o.MPI != sched.NoMPI && !slices.Contains(ways, o.MPI) {
			return p, fmt.Errorf("%w: --mpi %s: whoever has started this process offers %s", ErrMPI, o.MPI, offered(ways))
		}
		ways = []sched.MPI{o.MPI}
	}
	for _, way := range ways {
		switch way {
		case sched.PMIx:
			err = r.openPMIx(o, &p)
		case sched.PMI2:
			p.socket, err = socket, lost
		default:
			return p, nil
		}
		if err == nil {
			if p.way = way; o.Share == "" {
				p.env = sched.WithoutSharedMemory(r.Environ)
			}
			return p, nil
		}
		if p.asked {
			return p, fmt.Errorf("%w: --mpi %s: %w", ErrMPI, way, err)
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
func (r *Runner) openPMIx(o *Options, p *parallel) error {
	own := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	switch {
	case o.Network.Mode.Own() && sched.PMIxNeedsNetwork(r.Environ):
		return fmt.Errorf("its server is reached by the host's network, and the job has --network %s", o.Network.Mode)
	case o.UserNS == "" && o.User == "":
		o.UserNS = HostUID
	case o.UserNS != HostUID && o.User != own:
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
func (p *parallel) addPlace(path string) error {
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
func (r *Runner) inheritedSocket() (*os.File, error) {
	text, _ := lookUp(r.Environ, sched.PMIFD)
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

// variables are those of the launcher's that the job gets, with the descriptor by the number that it has inside.
func (p *parallel) variables(inherited []string) (env []string) {
	for _, v := range inherited {
		switch {
		case strings.HasPrefix(v, sched.PMIFD+"="):
			if p.socket != nil {
				env = append(env, sched.PMIFD+"="+strconv.Itoa(container.LauncherFD))
			}
		case p.way == sched.NoMPI && p.asked && sched.OfMPI(v):
		default:
			env = append(env, v)
		}
	}
	return env
}

// specify completes a specification. What the user mounts in a place stays, as does what anybody sets of the variables.
func (p *parallel) specify(s *specs.Spec) {
	if p.way == sched.NoMPI {
		return
	}
	d := spec.Devices{Env: p.env}
	for _, place := range p.places {
		d.Mounts = append(d.Mounts, specs.Mount{Destination: place, Type: "bind", Source: place, Options: []string{"bind", "nosuid", "nodev", "rprivate"}})
	}
	spec.AddDevices(s, d, s.Process.Env)
}

// record is what the record says of it; nil: nothing was asked for and there was nothing.
func (p *parallel) record() *record.MPI {
	if p.way == sched.NoMPI && !p.asked {
		return nil
	}
	return &record.MPI{Way: string(p.way), Places: p.places}
}

// close gives up the socket, which then is the job's alone.
func (p *parallel) close() {
	if p.socket != nil {
		_ = p.socket.Close() // somebody else may have closed it
		p.socket = nil
	}
}
