package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fence"
	"github.com/coracle-run/coracle/internal/sys"
)

// feature is what newer kernels have, and what runs do where it is missing.
type feature struct {
	name    string
	there   func() bool
	instead string
}

// features are tried, not read from a version: distributions bring new ones to old kernels, and filters take some away.
func features() []feature {
	return []feature{
		{"openat2 (Linux 5.6)", func() bool { return answers(openat2()) }, "paths inside images are walked step by step"},
		{"fsopen (Linux 5.2)", hasMountContext, "images of hundreds of layers do not fit mount(2)"},
		{"mount_setattr (Linux 5.12)", sys.CanSetMounts, "what is mounted below a volume is made read-only mount by mount"},
		{"pidfds (Linux 5.3)", func() bool { return answers(unix.PidfdSendSignal(-1, 0, nil, 0)) }, "processes are known by number and start time"},
		{"Landlock (Linux 5.19)", fence.Possible, "who unpacks an image is not confined to the store"},
	}
}

func (p *patient) kernel(context.Context) []Finding {
	facts, err := p.facts()
	if err != nil {
		return []Finding{failure(err.Error(), "")}
	}
	var missing, instead []string
	for _, f := range features() {
		if !f.there() {
			missing, instead = append(missing, f.name), append(instead, f.instead)
		}
	}
	found := fmt.Sprintf("Linux %s, %s", facts.Kernel, facts.Arch)
	if len(missing) == 0 {
		return []Finding{ok(found + ", with all that Coracle makes use of")}
	}
	return []Finding{note(found+", without "+strings.Join(missing, ", "), strings.Join(instead, "; ")).
		by(Administrator, "a newer kernel, or a container around this one that lets these calls pass")}
}

// answers reports whether a system call that was made with nonsense is there: then it says what is wrong with that.
func answers(err error) bool { return !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) }

func openat2() error {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// hasMountContext asks for a file system that there is not: who may not mount is told of that first, and so the call is there.
func hasMountContext() bool {
	name := []byte("\x00")
	_, _, errno := unix.Syscall(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(&name[0])), ^uintptr(0), 0)
	return errno != unix.ENOSYS
}
