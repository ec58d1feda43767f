package main

import (
	"context"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// streamEnv names the program of the directory stream, which root has built: static, for an image without libraries.
const streamEnv = "CORACLE_TEST_BENCH_STREAM"

// networkBytes go over the connection in each run: enough for the start of a container to be little beside it.
const networkBytes = 2 << 30

// buildStream builds it. What it returns takes it away.
func buildStream(verb string, log io.Writer) (undo func()) {
	undo = func() {}
	if verb != "network" && verb != "all" || os.Getenv(streamEnv) != "" {
		return undo
	}
	dir, err := os.MkdirTemp("", "coracle-stream-")
	if err == nil {
		undo = func() { _ = os.RemoveAll(dir) }
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "stream"), "github.com/coracle-run/coracle/test/bench/stream")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		err = errors.Join(os.Chmod(dir, 0o755), quietly(cmd), os.Setenv(streamEnv, filepath.Join(dir, "stream")))
	}
	if err != nil {
		_, _ = fmt.Fprintln(log, "bench: building what the network is measured with:", err)
	}
	return undo
}

// networkTables measures what a job's network carries, to and from a program of the host outside of the container.
func networkTables(ctx context.Context, b *workshop, o options) (tables []table, err error) {
	program := os.Getenv(streamEnv)
	address, err := outwardAddress()
	if !installed(program) || err != nil {
		why := fmt.Sprint("its program was not built; ", err)
		return []table{{Name: "network", Subject: "a connection of TCP", Skipped: []skip{{"all", why}}}}, nil
	}
	server, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, err
	}
	defer server.Close()
	go serveStreams(server)
	image, err := busybox(filepath.Join(b.dir, "network"), 1, "")
	if err != nil {
		return nil, err
	}
	r := serve(image, link{})
	b.stop = append(b.stop, r.stop)
	for _, way := range []struct{ name, subject string }{{"get", "to the job"}, {"put", "from the job"}} {
		f := field{
			columns: networkColumns, reference: outside, rounds: 5, warmup: 1, subject: fmt.Sprintf("%d GiB %s, one connection of TCP with "+
				"a program of the host, the container's start included; CPU is that of all of the contender's processes", networkBytes>>30, way.subject),
			contenders: networkContenders(ctx, b, r.ref, program, way.name, server.Addr().String(), strconv.Itoa(networkBytes)),
		}
		t, err := f.run(ctx, "network-"+way.name, o, b)
		if tables = append(tables, t); err != nil {
			return tables, err
		}
	}
	return tables, nil
}

// networkContenders run the program with these arguments, each in the network that its name says.
func networkContenders(ctx context.Context, b *workshop, ref, program string, args ...string) []contender {
	store := filepath.Join(b.dir, "network-store")
	pulled := once(func() error { return quietly(coracle(ctx, b, store, "pull", ref)) })
	list := []contender{{name: outside, program: program, command: always(append([]string{program}, args...)...)}}
	for _, kind := range []struct{ name, network, helper string }{
		{"coracle, host's network", "host", ""}, {"coracle, pasta", "private", "pasta"}, {"coracle, slirp4netns", "private", "slirp4netns"},
	} {
		list = append(list, contender{
			name: kind.name, program: b.coracle, before: pulled,
			command: func(ctx context.Context, _ int) *exec.Cmd {
				argv := []string{"run", "--pull", "never", "--network", kind.network, "-v", program + ":/stream:ro", ref, "/stream"}
				cmd := coracle(ctx, b, store, append(argv, args...)...)
				if kind.helper != "" {
					cmd.Env = append(cmd.Env, "PATH="+alone(b, kind.helper))
				}
				return cmd
			},
		})
	}
	for _, network := range []string{"host", "pasta", "slirp4netns"} {
		p := startPodman(ctx, b, ref)
		p.name = "podman, " + network
		p.command = func(ctx context.Context, _ int) *exec.Cmd {
			argv := []string{"run", "--rm", "--pull", "never", "--cgroups", "disabled", "--network", network, "-v", program + ":/stream:ro", ref, "/stream"}
			return podman(ctx, b, filepath.Join(b.dir, "podman"), append(argv, args...)...)
		}
		list = append(list, p)
	}
	return list
}

// alone is a directory in which a program is the only one. Without the program nobody finds it there.
func alone(b *workshop, name string) string {
	dir := filepath.Join(b.dir, "alone-"+name)
	if path, err := exec.LookPath(name); err == nil {
		_ = errors.Join(os.MkdirAll(dir, 0o755), os.Symlink(path, filepath.Join(dir, name))) // the second time it is there
	}
	return dir
}

// outwardAddress is the host's own, on a device that leads out: by loopback addresses nobody in a network of his own reaches the host.
func outwardAddress() (string, error) {
	conn, err := net.Dial("udp4", "192.0.2.1:9") // sends nothing (RFC 5737, a documentation address)
	if err != nil {
		return "", fmt.Errorf("finding an address of the host: %w", err)
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	return host, err
}

// serveStreams answers the program stream until the listener is closed.
func serveStreams(server net.Listener) {
	for {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		go serveStream(conn)
	}
}

// serveStream sends or takes as many bytes as the other side says. One that goes away has an error to show for it.
func serveStream(conn net.Conn) {
	defer conn.Close()
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return
	}
	left := int64(wire.BigEndian.Uint64(head[1:]))
	buf := make([]byte, 256<<10)
	for left > 0 {
		var n int
		var err error
		if head[0] == 'g' {
			n, err = conn.Write(buf[:min(left, int64(len(buf)))])
		} else {
			n, err = conn.Read(buf)
		}
		if left -= int64(n); err != nil {
			return
		}
	}
	if head[0] == 'p' {
		_, _ = conn.Write([]byte{1})
	}
}
