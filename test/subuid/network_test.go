package subuid_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/need"
)

// TestPrivateNetwork: a job of several users has a network of its own, whoever of them uses it, and is reached by the ports that were published;
// when it has ended, nobody has them. Root there is master of its device if that was asked for.
func TestPrivateNetwork(t *testing.T) {
	need.HostTun(t)
	b, ref := database(t)
	for _, helper := range []string{"pasta", "slirp4netns"} {
		for _, more := range [][]string{nil, {"--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN"}} {
			t.Run(strings.Join(append([]string{helper}, more...), " "), func(t *testing.T) {
				b.t = t
				path := t.TempDir()
				if err := os.Symlink(need.Tool(t, helper), filepath.Join(path, helper)); err != nil {
					t.Fatal(err)
				}
				t.Setenv("PATH", path+":/usr/bin:/bin") // newuidmap is looked for there
				port := freePort(t)
				// As the user of the database, who gets a port of root's as everybody in there does.
				const script = `mkdir -p /tmp/www && echo served by $(id -u) >/tmp/www/index.html && exec busybox httpd -f -p 80 -h /tmp/www`
				if len(more) > 0 {
					b.ok(append(append([]string{"run", "--userns", "subuid", "--network", "private", "--entrypoint", "ip"}, more...),
						ref, "addr", "add", "10.99.0.1/32", "dev", "eth0")...)
				}
				args := append([]string{"run", "--userns", "subuid", "--network", "private", "-p", fmt.Sprintf("127.0.0.1:%d:80", port)}, more...)
				cmd, r := b.start(append(args, "-u", "db", "--entrypoint", "sh", ref, "-c", script)...)
				if got := b.fetch(port); got != "served by 999\n" {
					t.Errorf("the job says %q", got)
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if r := b.wait(cmd, r); r.code != 128+int(syscall.SIGTERM) {
					t.Errorf("status %d: %s", r.code, r.stderr)
				}
				if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
					t.Errorf("the port answers after the end of the job: %v", conn.Close())
				}
			})
		}
	}
}

// freePort is one that nobody has.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	addr, _ := listener.Addr().(*net.TCPAddr)
	return addr.Port
}

// fetch asks a server that may be about to begin.
func (b *box) fetch(port int) string {
	b.t.Helper()
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/index.html", port)) //nolint:noctx // it has a timeout
		if err != nil {
			if time.Now().After(end) {
				b.t.Fatal(err)
			}
			continue
		}
		text, err := io.ReadAll(response.Body)
		if err := response.Body.Close(); err != nil {
			b.t.Error(err)
		}
		if err != nil {
			b.t.Error(err)
		}
		return string(text)
	}
}
