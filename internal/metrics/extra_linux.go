package metrics

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/sys"
)

// Shm measures a job's /dev/shm, whose files count as memory of nobody who has not mapped them.
type Shm struct{ fd int }

// OpenShm measures the tmpfs of a descriptor, which is the sampler's from then on. It stays while that is open, whatever becomes
// of the job.
func OpenShm(fd int) *Shm { return &Shm{fd} }

// Sample says how much of it is used.
func (m *Shm) Sample(s *Sample) error {
	used, _, err := m.Room()
	if err != nil {
		return err
	}
	s.Put(ShmBytes, used, FromProc)
	return nil
}

// Room is how much is used and how much there can be, in bytes.
func (m *Shm) Room() (used, size float64, err error) {
	var st unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Fstatfs(m.fd, &st) }); err != nil {
		return 0, 0, fmt.Errorf("looking at the job's /dev/shm: %w", err)
	}
	block := float64(st.Bsize)
	return float64(st.Blocks-st.Bfree) * block, float64(st.Blocks) * block, nil
}

// Lasts implements Lasting.
func (m *Shm) Lasts() {}

// Close lets go of it.
func (m *Shm) Close() error { return sys.Close(m.fd) }

// Network measures a network namespace of the job's own, by its /proc/PID/net/dev, and keeps the namespace while that is open.
type Network struct {
	fd  int
	dir directory
}

// Sample sums up all interfaces but the loopback.
func (n *Network) Sample(s *Sample) error {
	if _, err := unix.Seek(n.fd, 0, unix.SEEK_SET); err != nil {
		return fmt.Errorf("looking at the job's network: %w", err)
	}
	text, err := n.dir.fill(n.fd)
	if err != nil {
		return fmt.Errorf("looking at the job's network: %w", err)
	}
	received, sent := interfaces(text)
	s.Put(ReceivedBytes, received, FromProc)
	s.Put(SentBytes, sent, FromProc)
	return nil
}

// Lasts implements Lasting.
func (n *Network) Lasts() {}

// Close lets go of the namespace.
func (n *Network) Close() error { return sys.Close(n.fd) }

// interfaces reads proc_pid_net(5)'s dev: two lines of titles, then "NAME: RECEIVED ... (8 columns) SENT ...".
func interfaces(text []byte) (received, sent float64) {
	for line := range bytes.Lines(text) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		fields := bytes.Fields(rest)
		const sentColumn = 8
		if !ok || string(bytes.TrimSpace(name)) == "lo" || len(fields) <= sentColumn {
			continue
		}
		in, _ := parseNumber(fields[0])
		out, _ := parseNumber(fields[sentColumn])
		received += in
		sent += out
	}
	return received, sent
}

// HostPressure measures how long processes of the whole machine have waited for CPU, memory and I/O: where the job has no cgroup it is
// all that can be had.
type HostPressure struct{ dir *directory }

// OpenHostPressure gives nil where the kernel does not account for it.
func OpenHostPressure() *HostPressure {
	d, err := openDirectory("/proc/pressure")
	if err != nil {
		return nil
	}
	return &HostPressure{d}
}

// Sample reads the three files.
func (h *HostPressure) Sample(s *Sample) error {
	for _, p := range []struct {
		name  string
		field Field
	}{{"cpu", CPUPressure}, {"memory", MemoryPressure}, {"io", IOPressure}} {
		text, err := h.dir.read(p.name)
		if err != nil {
			return fmt.Errorf("reading the host's pressure: %w", err)
		}
		if seconds, ok := pressure(text); ok {
			s.Put(p.field, seconds, Host)
		}
	}
	return nil
}

// Lasts implements Lasting.
func (h *HostPressure) Lasts() {}

// Close lets go of the directory.
func (h *HostPressure) Close() error { return h.dir.close() }
