package slurm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/need"
)

// askedEnv asks for the cluster (make test-slurm).
const askedEnv = "CORACLE_TEST_SLURM"

// patience is how long anything may take before it counts as hung.
const patience = 2 * time.Minute

// cluster is a Slurm of two nodes, n1 and n2, and the user of its jobs.
type cluster struct {
	dir     string // of the daemons
	home    string // of the user
	coracle string // a copy of the binary that the user can reach
	user    *user.User
	uid     uint32
	gid     uint32
	daemons []*exec.Cmd
}

// theCluster is started by whoever needs it first; nil where nobody asks for one.
var theCluster = sync.OnceValues(func() (*cluster, error) {
	if os.Getenv(askedEnv) == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	c, err := newCluster()
	if err != nil {
		return nil, err
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the cluster: %w\n%s", err, c.logs()), c.stop())
	}
	return c, nil
})

// needCluster is the running cluster.
func needCluster(t *testing.T) *cluster {
	t.Helper()
	switch {
	case os.Getenv(askedEnv) == "":
		need.Missing(t, "slurm", "`make test-slurm` starts a cluster")
	case os.Geteuid() != 0:
		need.Missing(t, "slurm", "only root can start a cluster")
	}
	need.Binary(t)
	for _, tool := range []string{"munged", "slurmctld", "slurmd", "srun"} {
		need.Tool(t, tool)
	}
	c, err := theCluster()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newCluster() (_ *cluster, err error) {
	account, err := need.Account(need.User)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "coracle-slurm-") // on disk, as layers want it
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, home: filepath.Join(dir, "home"), user: account, uid: uint32(uid), gid: uint32(gid)}
	key := make([]byte, 1024)
	_, _ = rand.Read(key) // never fails
	return c, errors.Join(
		os.Chmod(dir, 0o755),
		os.Mkdir(c.home, 0o700), os.Chown(c.home, int(uid), int(gid)),
		os.Mkdir(filepath.Join(dir, "state"), 0o700), os.Mkdir(filepath.Join(dir, "n1"), 0o755), os.Mkdir(filepath.Join(dir, "n2"), 0o755),
		os.Mkdir(filepath.Join(dir, "n1.tmp"), 0o755), os.Mkdir(filepath.Join(dir, "n2.tmp"), 0o755), // for PMIx, whose names are the same on each node
		fsx.WriteFile(filepath.Join(dir, "munge.key"), key, 0o400),
		c.copyBinary(),
		c.configure(),
	)
}

func (c *cluster) copyBinary() error {
	top, err := need.Top()
	if err != nil {
		return err
	}
	path := os.Getenv("CORACLE_BIN")
	if path == "" {
		path = filepath.Join(top, "bin", "coracle")
	}
	c.coracle = filepath.Join(c.dir, "coracle")
	binary, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	helper, err := os.ReadFile(filepath.Join(filepath.Dir(path), "coracle-nvidia"))
	if err != nil {
		return err
	}
	return errors.Join(need.WriteProgram(c.coracle, binary), need.WriteProgram(filepath.Join(c.dir, "coracle-nvidia"), helper))
}

// configure writes slurm.conf. Tasks are bound to no CPU and put into no control group, as both nodes are one small machine, so
// that a node may have more CPUs than there are.
func (c *cluster) configure() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	text := strings.NewReplacer("DIR", c.dir, "HOST", host, "PORT0", ports[0], "PORT1", ports[1], "PORT2", ports[2]).Replace(`ClusterName=coracle
SlurmctldHost=HOST(127.0.0.1)
SlurmctldPort=PORT0
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=DIR/munge.socket
CredType=cred/munge
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/%n
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd.%n.pid
SlurmdLogFile=DIR/slurmd.%n.log
SlurmctldLogFile=DIR/slurmctld.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
TreeWidth=65533
MpiDefault=none
TmpFS=DIR/%n.tmp
KillWait=4
NodeName=n1 NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT1 CPUs=64 RealMemory=8000
NodeName=n2 NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT2 CPUs=64 RealMemory=8000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP PriorityTier=1 GraceTime=100
PartitionName=urgent Nodes=ALL MaxTime=60 State=UP PriorityTier=2 PreemptMode=OFF
`)
	return fsx.WriteFile(filepath.Join(c.dir, "slurm.conf"), []byte(text), 0o644)
}

// freePorts are ports of the loopback that nobody listens on at this moment.
func freePorts(count int) (ports []string, err error) {
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (c *cluster) start() error {
	in := func(name string) string { return filepath.Join(c.dir, name) }
	if err := c.daemon("munged", "--foreground", "--force", "--num-threads=4", "--socket="+in("munge.socket"), "--key-file="+in("munge.key"),
		"--pid-file="+in("munged.pid"), "--log-file="+in("munged.log"), "--seed-file="+in("munged.seed")); err != nil {
		return err
	}
	if err := c.until("munged", func() error { _, err := os.Stat(in("munge.socket")); return err }); err != nil {
		return err
	}
	for _, args := range [][]string{{"slurmctld", "-D"}, {"slurmd", "-D", "-N", "n1"}, {"slurmd", "-D", "-N", "n2"}} {
		if err := c.daemon(args[0], append(args[1:], "-f", in("slurm.conf"))...); err != nil {
			return err
		}
	}
	return c.until("the nodes", func() error {
		out, err := c.command(context.Background(), "sinfo", "-h", "-N", "-p", "all", "-o", "%N %t").Output()
		if err != nil || strings.Count(string(out), " idle") != 2 {
			return fmt.Errorf("sinfo: %w: %s", err, out)
		}
		return nil
	})
}

// daemon starts a program that ends with the tests.
func (c *cluster) daemon(name string, args ...string) error {
	path := name
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			path = filepath.Join(dir, name)
		}
	}
	log, err := fsx.AppendFile(filepath.Join(c.dir, name+".out"), 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.daemons = append(c.daemons, cmd)
	return nil
}

// until waits for something that comes without a word.
func (c *cluster) until(what string, there func() error) error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err = there(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("waiting for %s: %w", what, err)
}

// stop ends the jobs, then the daemons, and removes everything.
func (c *cluster) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.command(ctx, "scancel", "--full", "-u", c.user.Username).Run(); err == nil {
		_ = c.until("the jobs' end", func() error { return c.none(ctx) }) // told below by what is left
	}
	for i := len(c.daemons) - 1; i >= 0; i-- {
		d := c.daemons[i]
		_ = d.Process.Signal(syscall.SIGTERM) // it may have ended
		kill := time.AfterFunc(20*time.Second, func() { _ = d.Process.Kill() })
		_ = d.Wait() // how it ends nobody minds
		kill.Stop()
	}
	return os.RemoveAll(c.dir)
}

// none is an error while a job is there.
func (c *cluster) none(ctx context.Context) error {
	out, err := c.command(ctx, "squeue", "-h").Output()
	if err == nil && len(bytes.TrimSpace(out)) > 0 {
		err = fmt.Errorf("jobs: %s", out)
	}
	return err
}

func (c *cluster) logs() string {
	var all strings.Builder
	for _, name := range []string{"munged.log", "slurmctld.log", "slurmd.n1.log", "slurmd.n2.log", "slurmctld.out", "slurmd.out"} {
		text, err := os.ReadFile(filepath.Join(c.dir, name))
		if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); err == nil {
			fmt.Fprintf(&all, "%s: %s\n", name, strings.Join(lines[max(0, len(lines)-4):], "\n\t"))
		}
	}
	return all.String()
}

// command is a command of the user's on the login node.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if name == "coracle" {
		name = c.coracle
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.home
	cmd.Env = []string{
		"HOME=" + c.home, "USER=" + c.user.Username, "PATH=" + c.dir + ":/usr/local/bin:/usr/bin:/bin", "SLURM_CONF=" + filepath.Join(c.dir, "slurm.conf"),
		"CORACLE_NO_SETTLE=1",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid}, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
