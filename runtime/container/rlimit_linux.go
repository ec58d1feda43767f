package container

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Rlimit is struct rlimit of init.h: a limit of the job's processes, by the kernel's number. Init sets it just before the job's
// program begins: what comes before, a Go program of many threads and files, need not fit into it.
type Rlimit struct {
	Resource   uint64 `json:"resource"`
	Soft, Hard uint64
}

// resources are the kernel's numbers of the specification's names (setrlimit(2)).
var resources = map[string]int{
	"RLIMIT_AS": unix.RLIMIT_AS, "RLIMIT_CORE": unix.RLIMIT_CORE, "RLIMIT_CPU": unix.RLIMIT_CPU, "RLIMIT_DATA": unix.RLIMIT_DATA,
	"RLIMIT_FSIZE": unix.RLIMIT_FSIZE, "RLIMIT_LOCKS": unix.RLIMIT_LOCKS, "RLIMIT_MEMLOCK": unix.RLIMIT_MEMLOCK,
	"RLIMIT_MSGQUEUE": unix.RLIMIT_MSGQUEUE, "RLIMIT_NICE": unix.RLIMIT_NICE, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE,
	"RLIMIT_NPROC": unix.RLIMIT_NPROC, "RLIMIT_RSS": unix.RLIMIT_RSS, "RLIMIT_RTPRIO": unix.RLIMIT_RTPRIO,
	"RLIMIT_RTTIME": unix.RLIMIT_RTTIME, "RLIMIT_SIGPENDING": unix.RLIMIT_SIGPENDING, "RLIMIT_STACK": unix.RLIMIT_STACK,
}

// Resource is the kernel's number of a limit of processes that the specification names; false: there is no such limit.
func Resource(name string) (number int, ok bool) {
	number, ok = resources[name]
	return number, ok
}

// rlimits converts those of a specification. Names have been checked where they came from.
func rlimits(list []specs.POSIXRlimit) (limits []Rlimit) {
	for _, r := range list {
		if number, ok := Resource(r.Type); ok {
			limits = append(limits, Rlimit{Resource: uint64(number), Soft: r.Soft, Hard: r.Hard})
		}
	}
	return limits
}
