package metrics

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// kernelLog is /dev/kmsg, which root can read, and everybody where kernel.dmesg_restrict is 0.
type kernelLog struct{ fd int }

// openKernelLog gives nil where the log cannot be read.
func openKernelLog() *kernelLog {
	var fd int
	err := sys.Retry(func() (err error) {
		fd, err = unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil
	}
	return &kernelLog{fd}
}

func (k *kernelLog) close() error { return sys.Close(k.fd) }

// victims are the names of processes of a cgroup, or of those in it, that were ended for want of memory, the oldest first. The
// cgroup's name is nobody else's.
func (k *kernelLog) victims(group string) (names []string) {
	const most = 1 << 16 // entries; the kernel's own buffer has far fewer
	entry := make([]byte, 8<<10)
	for range most {
		n, err := unix.Read(k.fd, entry)
		switch err {
		case nil:
			if name, ok := victim(string(entry[:n]), group); ok {
				names = append(names, name)
			}
		case unix.EINTR, unix.EPIPE: // EPIPE: older entries went while they were read
		default: // EAGAIN: that was all
			return names
		}
	}
	return names
}

// victim reads one entry of the log, of Linux 5.0 and newer:
// 6,4291,46604230735,-;oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/a,task_memcg=/a/job,task=python3,pid=15370,uid=1000
func victim(entry, group string) (name string, ok bool) {
	_, text, _ := strings.Cut(entry, ";")
	rest, ok := strings.CutPrefix(text, "oom-kill:")
	if !ok {
		return "", false
	}
	_, rest, _ = strings.Cut(rest, ",task_memcg=")
	path, rest, ok := strings.Cut(rest, ",task=")
	if !ok || !strings.Contains(path+"/", "/"+group+"/") {
		return "", false
	}
	at := strings.LastIndex(rest, ",pid=") // a name may have commas in it
	if at < 0 {
		return "", false
	}
	return rest[:at], true
}
