package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/need"
)

// launcherFD is the number of the socket that a launcher's process inherits here. It is none that anything else has.
const launcherFD = 9

// launched is a command that has a launcher's socket and is told so, and the launcher's end of it.
func (b *box) launched(args ...string) (*job, *net.UnixConn) {
	b.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "launcher"), os.NewFile(uintptr(fds[1]), "task")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		b.t.Fatalf("%T", conn)
	}
	if err := socket.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		b.t.Fatal(err)
	}
	j := &job{Cmd: b.command(args...)}
	j.Stdout, j.Stderr = &j.stdout, &j.stderr
	j.ExtraFiles = make([]*os.File, launcherFD-2)
	j.ExtraFiles[launcherFD-3] = theirs
	j.Env = append(j.Env, fmt.Sprint("PMI_FD=", launcherFD), "PMI_RANK=0", "PMI_SIZE=1")
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	return j, socket
}

// TestLauncherSocket: the job inherits the launcher's socket, under the number that it is told, and nobody else has it while the job
// runs: the launcher sees its end when the job has closed it.
func TestLauncherSocket(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	for _, tc := range []struct {
		name    string
		options []string
	}{
		{"auto", nil},
		{"by name", []string{"--mpi", "pmi2"}},
		{"as another user", []string{"-u", "1000"}},
		{"process 1", []string{"--init=false"}},
		{"a job that may mount", []string{"--cap-add", "SYS_ADMIN"}},
		{"on a terminal", []string{"-t"}},
		{"a network of its own", []string{"--network", "none"}},
		{"subuid", []string{"--userns", "subuid"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "subuid" {
				need.SubIDs(t)
			}
			b.t = t
			b.dir("out")
			const script = `echo "hello from $PMI_RANK" >&$PMI_FD; eval "exec $PMI_FD>&-"; until [ -e /out/enough ]; do sleep 0.02; done; rm /out/enough; ls /proc/self/fd | tr '\n' ' '`
			args := append([]string{"run", "-v", b.wd + "/out:/out"}, tc.options...)
			j, socket := b.launched(append(args, ref, "sh", "-c", script)...)
			said, err := io.ReadAll(socket) // to its end
			b.file("out/enough", "")
			r := b.wait(j)
			if err != nil || string(said) != "hello from 0\n" || r.code != 0 {
				t.Errorf("the launcher heard %q, %v; status %d: %s%s", said, err, r.code, r.stdout, r.stderr)
			}
			if fds := strings.Fields(r.stdout); !slices.Equal(fds, []string{"0", "1", "2", "3"}) { // the last is of the directory that ls reads
				t.Errorf("the job has descriptors %q", fds)
			}
			if mpi := b.mpi("last"); mpi.Way != "pmi2" {
				t.Errorf("on record: %+v", mpi)
			}
			nothingLeft(t, b)
		})
	}
	b.t = t
	b.ok("prune", "--all", "--force") // what belongs to subordinate ids is removed by nothing else
}

// mpi is what a record says of it.
func (b *box) mpi(id string) (mpi struct {
	Way    string
	Places []string
}) {
	b.t.Helper()
	rec := struct{ MPI any }{&mpi}
	if err := json.Unmarshal([]byte(b.ok("runs", "show", id, "--json")), &rec); err != nil {
		b.t.Fatal(err)
	}
	return mpi
}

// TestNoLauncherSocket: a job that is to have no part in it has neither socket nor variables, and the launcher sees that.
func TestNoLauncherSocket(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	j, socket := b.launched("run", "--mpi", "none", ref, "sh", "-c", "env | grep -c PMI; ls /proc/self/fd | tr '\n' ' '")
	if said, err := io.ReadAll(socket); err != nil || len(said) > 0 {
		t.Errorf("the launcher heard %q, %v", said, err)
	}
	if r := b.wait(j); r.code != 0 || r.stdout != "0\n0 1 2 3 " {
		t.Errorf("status %d: %q%s", r.code, r.stdout, r.stderr)
	}
	nothingLeft(t, b)
}

// TestLostLauncherSocket: a number that is no socket, or one of Coracle's own, is said, and by name it is an error.
func TestLostLauncherSocket(t *testing.T) {
	b, ref := busybox(t)
	for _, fd := range []string{"3", "4", "5", "7", "77"} {
		b.t = t
		t.Setenv("PMI_FD", fd)
		if r := b.do("run", "--mpi", "pmi2", ref, "true"); r.code != 125 || !strings.Contains(r.stderr, "PMI_FD="+fd+" is no open socket") {
			t.Errorf("%s by name: status %d: %s", fd, r.code, r.stderr)
		}
		if r := b.do("run", ref, "sh", "-c", "echo $PMI_FD."); r.code != 0 || r.stdout != ".\n" || !strings.Contains(r.stderr, "no part in the launcher's MPI (pmi2)") {
			t.Errorf("%s: status %d: %s%s", fd, r.code, r.stdout, r.stderr)
		}
	}
}

// TestPMIxPlaces: the job has the caller's numbers, and the directories of PMIx's server at the same paths, but for those that are
// everybody's.
func TestPMIxPlaces(t *testing.T) {
	b, ref := busybox(t)
	server := filepath.Join(b.wd, "pmix.1.0")
	b.file("pmix.1.0/dstore/segment", "of the server\n")
	b.file("system/pmix.sys.host", "of all\n")
	b.file("uri", "pmix-server.1;tcp4://127.0.0.1:1\n")
	for name, value := range map[string]string{
		"PMIX_NAMESPACE": "ns", "PMIX_RANK": "0", "PMIX_SERVER_TMPDIR": server + "/", "PMIX_DSTORE_21_BASE_PATH": server + "//dstore", "PMIX_SYSTEM_TMPDIR": b.wd + "/system", "PMIX_DSTORE_ESH_BASE_PATH": "/tmp",
		"PMIX_SERVER_URI2": "ns.0;tcp4://127.0.0.1:1", "PMIX_SERVER_URI": "file:" + b.wd + "/uri", "OMPI_MCA_btl": "tcp,self",
		"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2",
	} {
		t.Setenv(name, value)
	}
	const script = `cat $PMIX_DSTORE_21_BASE_PATH/segment; cat "${PMIX_SERVER_URI#file:}"; : >$PMIX_SERVER_TMPDIR/of-the-job; id -u; id -g; ls /tmp | wc -l; cat $PMIX_SYSTEM_TMPDIR/*; echo $OMPI_MCA_btl $MPIR_CVAR_NOLOCAL`
	inTmp := 0
	if strings.HasPrefix(b.wd, "/tmp/") { // the server's own directories are there then, and nothing else of the host's
		inTmp = 1
	}
	want := fmt.Sprintf("of the server\npmix-server.1;tcp4://127.0.0.1:1\n%d\n%d\n%d\nof all\ntcp,self 1\n", os.Getuid(), os.Getgid(), inTmp)
	for _, options := range [][]string{nil, {"--mpi", "pmix"}, {"--mpi", "pmix", "--userns", "host-uid", "--read-only"}} {
		if r := b.do(append(append([]string{"run"}, options...), ref, "sh", "-c", script)...); r.code != 0 || r.stdout != want || r.stderr != "" {
			t.Errorf("%q: status %d: %q, want %q: %s", options, r.code, r.stdout, want, r.stderr)
		}
	}
	b.mine("pmix.1.0/of-the-job")
	if mpi := b.mpi("last"); mpi.Way != "pmix" || !slices.Equal(mpi.Places, []string{server, b.wd + "/system/pmix.sys.host", b.wd + "/uri"}) {
		t.Errorf("on record: %+v", mpi)
	}
	for _, tc := range []struct {
		options []string
		why     string
	}{
		{[]string{"--network", "none"}, "--network none"},
		{[]string{"--userns", "flat"}, "--userns host-uid"},
		{[]string{"-u", "1234"}, "--userns host-uid"},
		{[]string{"-u", fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())}, ""},
	} {
		args := append([]string{"run", "--mpi", "pmix"}, append(tc.options, ref, "true")...)
		if r := b.do(args...); (r.code == 125) != (tc.why != "") || !strings.Contains(r.stderr, tc.why) {
			t.Errorf("%q: status %d: %s", tc.options, r.code, r.stderr)
		}
		args = append([]string{"run"}, append(tc.options, ref, "sh", "-c", "ls "+server)...)
		if r := b.do(args...); (r.code != 0) != (tc.why != "") || tc.why != "" && !strings.Contains(r.stderr, "no part in the launcher's MPI (pmix): ") {
			t.Errorf("auto, %q: status %d: %s%s", tc.options, r.code, r.stdout, r.stderr)
		}
	}
}
