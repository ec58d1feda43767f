package need

import (
	"testing"

	"golang.org/x/sys/unix"
)

// nvidiaControl is the node that every use of NVIDIA's driver begins with.
const nvidiaControl = "/dev/nvidiactl"

// GPU needs a GPU of NVIDIA's that this user may use: the driver's control node opens.
func GPU(t testing.TB) {
	t.Helper()
	fd, err := unix.Open(nvidiaControl, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		Missing(t, "gpu", nvidiaControl+": "+err.Error())
	}
	_ = unix.Close(fd) // nothing was written
}
