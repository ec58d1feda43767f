package container

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// Config describes one container. Exactly one of Terminal and the three streams is set.
type Config struct {
	ID string

	// Spec is what an OCI runtime would read from config.json. Process.User, Root.Path and Linux.Seccomp are not read: they
	// follow from User, Root and Filter.
	Spec *specs.Spec

	Root rootfs.Root

	// Volumes are those of the specification that take more than a mount.
	Volumes Volumes

	// User is the image's USER or the caller's choice, by name or number. Whoever it is, on the host it is the caller, unless
	// IDs, which are those of Prepare, say otherwise.
	User string
	IDs  host.IDMap

	// Account names that user where the image does not.
	Account rootfs.Account

	// SetHome has $HOME follow the user's entry in the image's passwd file, because nobody said otherwise.
	SetHome bool

	// Files are put into /etc, below everything that the user mounts: a volume on the same path or on a directory above it
	// covers them.
	Files []File

	// Secrets are read-only files of the job's user, for nobody else to read, in memory on spec.SecretsDir. The specification has a
	// mount of them.
	Secrets []File

	// Metrics is a directory of the host that the job sees as MetricsDir and may write to; "": none.
	Metrics string

	// Filter is the job's seccomp filter in the kernel's form (struct sock_filter, 8 bytes an instruction); empty: none.
	Filter []byte

	// OwnFilter: it is the runtime's own, and lets a job be made ready under it. Then it is loaded once, by init before there is a
	// job, where that can be: compiling it takes the kernel a sixth of a millisecond.
	OwnFilter bool

	// Enter puts a process, and with it what will come of it, where its limits are: the keeper, before the container's first
	// process is made. nil: nowhere.
	Enter func(pid int) error

	// Passed are the signals that the supervisor hands to the job, should they come to it, one bit each, that of signal 1 lowest. Sent to
	// all processes at once, they reach the job once; of others, those that somebody sends to PID 1 are nobody else's.
	Passed uint64

	// CPUs are those that the job is to run on (sched_setaffinity(2)); nil: wherever its control group lets it.
	CPUs []int

	// NoInit has the job be PID 1 itself: what is orphaned it must reap, and signals that it does not handle do nothing.
	NoInit bool

	// Network is the host's unless this says otherwise.
	Network network.Config

	// Launcher is a socket that the job inherits as LauncherFD, and nobody else; Start does not close it. nil: none.
	Launcher *os.File

	Stdin, Stdout, Stderr *os.File // given to the job; Start does not close them
	Terminal              *Size    // a pseudo-terminal of this size instead
}

// Volumes have to be made ready, in this order, when the root is there and nothing runs in it. Each is known by its target.
type Volumes struct {
	Seeds   []rootfs.Seed   `json:"seeds,omitempty"`
	Sources []rootfs.Source `json:"sources,omitempty"`
}

// LauncherFD is the descriptor of Config.Launcher in the job (init.h), LauncherVariable the variable that has its number.
const (
	LauncherFD       = 6
	LauncherVariable = "PMI_FD"
)

// MetricsDir is where a job finds the directory for what it has to say.
const MetricsDir = "/dev/coracle"

// File is a file of the runtime's own in a container.
type File struct {
	Name string `json:"name"`
	Text []byte `json:"text"`
}

// Size is that of a terminal, in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}
