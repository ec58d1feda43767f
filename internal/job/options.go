package job

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/device"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/secret"
	"github.com/coracle-run/coracle/internal/terminal"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/seccomp"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Options is what the user asked for.
type Options struct {
	Image string
	Fetch catalog.Fetch

	Spec   spec.Options // Hostname and ShmBytes are filled in where they are empty, Inherited and Resources always
	User   string       // instead of the image's USER
	UserNS UserNS

	Seccomp Seccomp
	Limits  limit.Limits
	Network Network
	Devices device.Request
	Secrets []secret.Secret
	MPI     sched.MPI // "": what the launcher offers

	Watch  Watch
	Labels Labels

	Name        string
	NoInit      bool          // the job is PID 1 of its container
	Share       Share         // its container with others
	Interactive bool          // give the job the caller's standard input
	Detach      bool          // let go of the caller once the job has begun
	Keep        string        // name of the writable layer that stays for the next run that names it; "": it goes with the run
	DetachKeys  terminal.Keys // by which a caller with a terminal has itself let go
	Restart     Restart       // when the job is started again
	StopSignal  string        // instead of the image's, which stands in for SIGTERM
	StopTimeout time.Duration // from a signal that asks the job to end to SIGKILL for all of it
	Command     []string      // coracle's own command line, for the record
	Settings    []record.Setting
	RerunOf     string // id of the run that this one repeats

	id       string // the run's, once it is chosen
	shmAsked int64  // Spec.ShmBytes as the user has it
}

// Labels are what a run is to be found by later.
type Labels struct {
	Project string
	Set     map[string]string
}

// UserNS says who a job is inside. On the host it is always the caller, but for the other users of SubUID.
type UserNS string

// The values of --userns.
const (
	Flat    UserNS = "flat"     // the image's USER, or User
	Root    UserNS = "root"     // root, whatever the image says
	HostUID UserNS = "host-uid" // the caller's own numbers and name
	SubUID  UserNS = "subuid"   // the image's USER among the image's users: root is the caller, others are its subordinate ids
)

// user is the USER that a mode names; "" for the image's.
func (m UserNS) user() string {
	switch m {
	case Root:
		return "0:0"
	case HostUID:
		return fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	}
	return ""
}

// account is what the job's user is called inside.
func (m UserNS) account() rootfs.Account {
	if m != HostUID {
		return rootfs.Account{Home: m == SubUID}
	}
	return rootfs.Account{User: host.Username(), Group: host.Groupname(), Own: true}
}

// Seccomp says which system calls a job may make. The zero value is the default profile.
type Seccomp struct {
	Name    string // for the record; "" is default
	Profile []byte // JSON as docker takes it; nil: the default, or nothing is forbidden when Name is Unconfined
}

// Unconfined is the name of no profile.
const Unconfined = "unconfined"

// filter compiles the filter for a job that holds some capabilities.
func (s Seccomp) filter(held []string) ([]byte, error) {
	switch {
	case s.Name == Unconfined:
		return nil, nil
	case s.Profile != nil:
		filter, err := seccomp.Load(s.Profile, held)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		return filter, nil
	}
	return seccomp.For(held)
}

// Streams are the caller's.
type Streams struct {
	In       *os.File
	Out, Err io.Writer
}

// Runner runs jobs with a store and leaves records.
type Runner struct {
	Store   *store.Store
	Runs    *record.Runs
	Version record.Version
	Environ []string     // the caller's environment
	Notice  func(string) // tells the user something that is no failure, in one line

	Advise func(error) string // what to do next about a failure; "": nothing is known. nil: nobody knows

	// Recorded is told the id of the run once it has a record. May be nil.
	Recorded func(id string)
	// Begun lets go of the caller, who is told the id of the run: when the job of one that is to be detached has begun, or when the
	// keys have been typed. nil: this process is the caller's own.
	Begun func(id string) error
	// Sweep has another process remove a directory of the layer root, and returns when that has begun. nil: nobody can.
	Sweep func(path string) error
	// Settle has another process merge an image's layers, and wait until what was made of them is on the disk. nil: nobody does.
	Settle func(store.Image)
}
