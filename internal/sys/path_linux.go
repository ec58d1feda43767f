package sys

import "strconv"

// FDPath is a path of what a descriptor of this process stands for (proc_pid_fd(5)): of exactly that, whatever has its name by now. It
// holds as long as the descriptor is open.
func FDPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
