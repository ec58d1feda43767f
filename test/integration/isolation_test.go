package integration_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// TestKernelSaysTheJobIsConfined reads what the kernel itself says of the job's privileges.
func TestKernelSaysTheJobIsConfined(t *testing.T) {
	for _, args := range [][]string{nil, {"-u", "1000"}, {"--init=false"}, {"--init=false", "-u", "1000"}} {
		b, ref := busybox(t)
		status := processStatus(b.ok(append(append([]string{"run"}, args...), ref, "cat", "/proc/self/status")...))
		for name, want := range map[string]string{
			"NoNewPrivs": "1", "Seccomp": "2",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
		} {
			if status[name] != want {
				t.Errorf("%q: %s is %q, want %q", args, name, status[name], want)
			}
		}
	}
}

// processStatus reads /proc/PID/status (proc(5)).
func processStatus(text string) map[string]string {
	status := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	return status
}

// none is an empty capability set.
const none = "0000000000000000"

func TestNamespacesArePrivate(t *testing.T) {
	b, ref := busybox(t)
	for _, ns := range []string{"user", "mnt", "pid", "ipc", "uts"} {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			t.Fatal(err)
		}
		if inside := b.ok("run", ref, "readlink", "/proc/self/ns/"+ns); inside == host || inside == "" {
			t.Errorf("the job's %s namespace is %q, the host's %q", ns, inside, host)
		}
	}
}

func TestHostNetworkIsShared(t *testing.T) {
	b, ref := busybox(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("here")) }))
	defer server.Close()
	if got := b.ok("run", ref, "wget", "-q", "-O", "-", server.URL); got != "here" {
		t.Errorf("the job gets %q", got)
	}
	if _, port, err := net.SplitHostPort(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	} else if got := b.ok("run", ref, "wget", "-q", "-O", "-", "http://localhost:"+port); got != "here" {
		t.Errorf("by name, the job gets %q", got)
	}
}

func TestDangerousFilesAreOutOfReach(t *testing.T) {
	b, ref := busybox(t)
	script := `for f in /proc/kcore /proc/keys /proc/timer_list /proc/sysrq-trigger /sys/firmware/* /dev/mem /dev/kmsg; do
		if [ -s $f ] && head -c 1 $f 2>/dev/null | grep -q .; then echo "$f can be read"; fi
	done
	for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /sys/kernel/uevent_helper /proc/irq/0/smp_affinity; do
		if (echo h >>$f) 2>/dev/null; then echo "$f can be written"; fi
	done
	mount -t tmpfs none /tmp 2>/dev/null && echo "mounts"
	unshare -Ur true 2>/dev/null && echo "user namespaces"
	mknod /tmp/mem c 1 1 2>/dev/null && echo "devices"
	true`
	if got := b.ok("run", ref, "sh", "-c", script); got != "" {
		t.Errorf("the job could do this: %s", got)
	}
}

func TestOrphansAreReaped(t *testing.T) {
	b, ref := busybox(t)
	script := `for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'exit 0' & ) & done; wait; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ') Z ' || true`
	if got := b.ok("run", ref, "sh", "-c", script); got != "0" {
		t.Errorf("%s zombies", got)
	}
}
