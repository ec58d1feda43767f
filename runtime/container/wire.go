package container

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// What supervisor, keeper and init say to each other. On its descriptor KeeperSocket the keeper gets the descriptors that it is
// to pass on (SendFiles), then one Request, and Go when it has answered who the job is; its answers are Replies. All but the
// first are JSON. The descriptors are init's control socket, a socket for
// requests of further processes (execwire.go), then either the job's three streams or the socket that its
// terminal is sent to, and at the end, where there is one, a socket that the job inherits. Init gets its config by memfd and
// speaks fixed binary messages (init.h) with the supervisor.

// Names by which the main binary knows that it has been re-executed as something else.
const (
	KeeperArg = "coracle-keeper" // argv[0]
	InitArg   = "coracle-init"   // argv[1]
)

// KeeperSocket is the keeper's descriptor of the socket to its supervisor.
const KeeperSocket = 3

// Request is what the keeper is asked to run.
type Request struct {
	ID       string         `json:"id"`
	Spec     Spec           `json:"spec"` // without Process.Args and Process.Env
	Args     Strings        `json:"args"`
	Env      Strings        `json:"env"`
	Root     rootfs.Root    `json:"root"`
	User     string         `json:"user"`
	IDs      host.IDMap     `json:"ids,omitzero"`
	Account  rootfs.Account `json:"account"`
	SetHome  bool           `json:"set_home"`
	Files    []File         `json:"files"`
	Secrets  []File         `json:"secrets,omitempty"`
	Volumes  Volumes        `json:"volumes,omitzero"`
	Metrics  string         `json:"metrics,omitempty"`
	Filter   []byte         `json:"filter"`
	Own      bool           `json:"own_filter,omitempty"`
	Network  network.Config `json:"network,omitzero"`
	Terminal *Size          `json:"terminal,omitempty"`
	NoInit   bool           `json:"no_init,omitempty"`
	Passed   uint64         `json:"passed,omitempty"`
	CPUs     []int          `json:"cpus,omitempty"`
	Rlimits  []Rlimit       `json:"rlimits,omitempty"`
	Launcher bool           `json:"launcher,omitempty"` // the last of the descriptors is the job's
	Hold     *Hold          `json:"hold,omitempty"`
}

// Go is the second thing that the keeper is told: nothing speaks against running the job. It is the last one where there is an
// init; else Signals follow.
type Go struct{}

// Signal is to be delivered to the job that is PID 1.
type Signal struct {
	Number int `json:"signal"`
}

// newRequest moves arguments and variables out of the specification; c is not changed.
func newRequest(c Config) Request {
	spec, process := *c.Spec, *c.Spec.Process
	spec.Process, process.Args, process.Env, process.Rlimits = &process, nil, nil, nil
	return Request{
		ID: c.ID, Spec: Spec{&spec}, Args: c.Spec.Process.Args, Env: c.Spec.Process.Env,
		Root: c.Root, User: c.User, IDs: c.IDs, Account: c.Account, SetHome: c.SetHome, Files: c.Files, Secrets: c.Secrets, Volumes: c.Volumes, Metrics: c.Metrics, Filter: c.Filter, Own: c.OwnFilter, Network: c.Network, Terminal: c.Terminal, NoInit: c.NoInit,
		Passed: c.Passed,
		CPUs:   c.CPUs, Rlimits: rlimits(c.Spec.Process.Rlimits), Launcher: c.Launcher != nil,
	}
}

// Strings are strings that arrive byte for byte. In JSON alone what is not UTF-8 would change, and arguments need not be.
type Strings []string

// MarshalJSON implements json.Marshaler.
func (s Strings) MarshalJSON() ([]byte, error) {
	raw := make([][]byte, len(s))
	for i := range s {
		raw[i] = []byte(s[i])
	}
	return json.Marshal(raw)
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Strings) UnmarshalJSON(text []byte) error {
	var raw [][]byte
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*s = make(Strings, len(raw))
	for i := range raw {
		(*s)[i] = string(raw[i])
	}
	return nil
}

// Reply is one message of the keeper: created, failed or ended.
type Reply struct {
	User        *rootfs.User     `json:"user,omitempty"`        // created: who the job is
	Made        rootfs.Made      `json:"made,omitzero"`         // created: how its root was
	Images      []rootfs.Made    `json:"images,omitempty"`      // created: how the images among its volumes were
	Failed      string           `json:"failed,omitempty"`      // failed: the error's text, and which of Faults it is
	Fault       Fault            `json:"fault,omitempty"`       //
	Beyond      *host.RangeError `json:"beyond,omitempty"`      // failed: for want of this id
	Held        bool             `json:"held,omitempty"`        // the container is there for others to join
	Ended       bool             `json:"ended,omitempty"`       // init has ended, with Status as of wait(2)
	Status      int              `json:"status,omitempty"`      //
	Usage       Usage            `json:"usage,omitzero"`        // of every process that was in the container
	Nanoseconds uint64           `json:"nanoseconds,omitempty"` // CLOCK_MONOTONIC, of when init was seen to have ended
	Signalled   int              `json:"signalled,omitempty"`   // where there is no init: what somebody outside has sent to the keeper
}

// Fault classes a failure of the keeper.
type Fault string

// Faults, and the errors that they become on the supervisor's side.
const (
	FaultStart Fault = "start"
	FaultMount Fault = "mount"
	FaultUser  Fault = "user"

	// FaultNamespace: the user namespace was made but gives no power over mounts, as AppArmor has it on some hosts.
	FaultNamespace Fault = "namespace"

	// FaultNetwork: the container's own network cannot be made or connected.
	FaultNetwork Fault = "network"

	// FaultHook: a hook failed.
	FaultHook Fault = "hook"

	// FaultProc: a fresh /proc cannot be mounted.
	FaultProc Fault = "proc"
)

// failure is the error that a reply reports.
func (r Reply) failure() error {
	err := errors.New(r.Failed)
	if r.Beyond != nil {
		err = r.Beyond
	}
	switch r.Fault {
	case FaultMount:
		return fmt.Errorf("%w: %w", ErrMount, err)
	case FaultUser:
		return fmt.Errorf("%w: %w", ErrUser, err)
	case FaultNamespace:
		return explainNamespaces(err)
	case FaultProc:
		return explainProc(err)
	case FaultHook:
		return fmt.Errorf("%w: %w", ErrHook, err)
	case FaultNetwork:
		return fmt.Errorf("%w: %w", ErrNetwork, err)
	default:
		return fmt.Errorf("%w: %w", ErrStart, host.ExplainFiltered(err))
	}
}

// Usage is what the kernel accounted to a set of processes, from wait4(2).
type Usage struct {
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	MaxRSS        int64   `json:"max_rss"` // bytes, of the largest single process
}

// IO is what a set of processes read and wrote, in bytes: by system calls, and from and to block devices.
type IO struct{ FileRead, FileWritten, Read, Written uint64 }

// NewUsage converts the kernel's form.
func NewUsage(r *syscall.Rusage) Usage {
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return Usage{UserSeconds: seconds(r.Utime), SystemSeconds: seconds(r.Stime), MaxRSS: r.Maxrss << 10}
}

func (r Report) usage() Usage {
	return Usage{UserSeconds: float64(r.UserMicros) / 1e6, SystemSeconds: float64(r.SystemMicros) / 1e6, MaxRSS: int64(r.MaxRSS)}
}

// Kinds of report of init.
const (
	ReportStarted = 1 // Value: the job's pid in the container
	ReportFailed  = 2 // Value: the stage, Error: errno
	ReportEnded   = 3 // Value: the job's status as of wait(2)
	ReportForked  = 4 // of a further process, to the keeper; Value: its pid
	ReportSignal  = 5 // Value: what somebody outside has sent to init itself
	ReportCleared = 6 // of who holds a shared container, to the keeper; Value: pid of the rank's init that has left nothing
)

// Stages at which init can fail to start the job.
const (
	StageConfig = iota + 1
	StageFork
	StageTerminal
	StageUser
	StageCapabilities
	StageSeccomp
	StageExec
	StageJoin // of a further process, as is the next
	StageDirectory
	StageLimits
)

// Report is struct report of init.h.
type Report struct {
	Kind         uint32
	Value        int32
	Error        int32
	_            uint32
	Nanoseconds  uint64 // CLOCK_MONOTONIC, of just before the job was started, of when it was seen to have ended
	UserMicros   uint64 // ended: used by the job and everything that came of it
	SystemMicros uint64
	MaxRSS       uint64 // bytes, of the largest single process
	IO           IO
}

// ReportSize is that of Report in bytes.
const ReportSize = 80

func parseReport(message []byte) (Report, error) {
	var r Report
	if len(message) != ReportSize {
		return r, fmt.Errorf("a report of %d bytes instead of %d", len(message), ReportSize)
	}
	_, err := binary.Decode(message, binary.NativeEndian, &r)
	return r, err
}

// InitConfig is struct config of init.h with what follows it.
type InitConfig struct {
	TTY      bool
	Nested   bool // the job's ids are not 0:0: give it a user namespace of its own
	NoInit   bool // the job is PID 1
	Switch   bool // the namespace has the job's ids: take them, with Groups
	Join     bool // a further process: the job has one, or a fence, enter that
	Launcher bool // there is a LauncherFD, which the job inherits
	Filtered bool // init loads the filter before it makes the job, for both of them
	Hold     bool // there is no job: others will join
	Rank     bool // init is one of several in the container
	Fence    bool // the job may mount: give it a copy of the container's mounts that belongs to a user namespace of its own
	UID, GID uint32
	Groups   []uint32 // supplementary ones
	// The job keeps these capabilities, one bit each, and may gain privileges by executing programs if NewPrivileges is set.
	Capabilities  uint64
	NewPrivileges bool
	Passed        uint64   // signals that the supervisor hands to the job (Config.Passed)
	CPUs          []int    // that the process is to run on; nil: any
	Rlimits       []Rlimit // of the process
	Args          []string
	Env           []string
	Filter        []byte
}

const (
	initMagic         = 0x31524f43
	flagTTY           = 1
	flagNested        = 2
	flagNewPrivileges = 4
	flagSwitch        = 8
	flagNoInit        = 16
	flagJoin          = 32
	flagFence         = 64
	flagFiltered      = 128
	flagLauncher      = 256
	flagHold          = 512
	flagRank          = 1024
	filterEntry       = 8 // bytes of one struct sock_filter
)

// ErrNUL marks an argument or variable that cannot be given to a program.
var ErrNUL = errors.New("a NUL byte cannot be part of an argument or a variable")

// Encode is the config as init reads it.
func (c InitConfig) Encode() ([]byte, error) {
	var text bytes.Buffer
	for _, list := range [][]string{c.Args, c.Env} {
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return nil, fmt.Errorf("%w: %q", ErrNUL, s)
			}
			text.WriteString(s)
			text.WriteByte(0)
		}
	}
	var flags uint32
	if c.TTY {
		flags |= flagTTY
	}
	if c.Nested {
		flags |= flagNested
	}
	if c.NewPrivileges {
		flags |= flagNewPrivileges
	}
	if c.Switch {
		flags |= flagSwitch
	}
	if c.NoInit {
		flags |= flagNoInit
	}
	if c.Join {
		flags |= flagJoin
	}
	if c.Fence {
		flags |= flagFence
	}
	if c.Filtered {
		flags |= flagFiltered
	}
	if c.Launcher {
		flags |= flagLauncher
	}
	if c.Hold {
		flags |= flagHold
	}
	if c.Rank {
		flags |= flagRank
	}
	mask := c.mask()
	header := []uint32{
		initMagic, flags, c.UID, c.GID, uint32(c.Capabilities), uint32(c.Capabilities >> 32),
		uint32(len(c.Args)), uint32(len(c.Env)), uint32(len(c.Filter) / filterEntry), uint32(text.Len()), uint32(len(c.Groups)),
		uint32(len(mask)), uint32(len(c.Rlimits)), 0,
	}
	out, err := binary.Append(nil, binary.NativeEndian, header)
	if err != nil {
		return nil, err
	}
	out = append(binary.NativeEndian.AppendUint64(out, c.Passed), c.Filter...)
	for _, list := range []any{mask, c.Rlimits} {
		if out, err = binary.Append(out, binary.NativeEndian, list); err != nil {
			return nil, err
		}
	}
	if out, err = binary.Append(out, binary.NativeEndian, c.Groups); err != nil {
		return nil, err
	}
	return append(out, text.Bytes()...), nil
}

// mask is the set of CPUs in the kernel's form (sched_setaffinity(2)), in words of 64.
func (c InitConfig) mask() (words []uint64) {
	for _, cpu := range c.CPUs {
		for len(words) <= cpu/64 {
			words = append(words, 0)
		}
		words[cpu/64] |= 1 << (cpu % 64)
	}
	return words
}
