package metrics

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Owner tells, by their numbers in this process's own /proc, the job's processes from all others: those of its pid namespace. What
// it returns may be called at any time by anyone.
func (t *Tree) Owner() (own func(pid int) bool, err error) {
	name := make([]byte, 64)
	var n int
	err = sys.Retry(func() (err error) {
		n, err = unix.Readlinkat(t.proc.fd, strconv.Itoa(t.first)+"/ns/pid", name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding the job's pid namespace: %w", err)
	}
	space := string(name[:n])
	return func(pid int) bool {
		other, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
		return err == nil && other == space // of somebody else's process it cannot be read
	}, nil
}
