package slurm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coracle-run/coracle/test/fixture"
	"github.com/coracle-run/coracle/test/recorded"
)

// box is a home of its own for one test's jobs, and a registry with the image of busybox.
type box struct {
	*cluster
	t      *testing.T
	home   string
	layers string // "": in its home
	reg    *fixture.Registry
	ref    string
}

// boxes counts them, as a test may run more than once.
var boxes atomic.Int32

func newBox(t *testing.T) *box {
	t.Helper()
	c := needCluster(t)
	home := filepath.Join(c.home, strings.ReplaceAll(t.Name(), "/", "-")+"-"+strconv.Itoa(int(boxes.Add(1))))
	if err := errors.Join(os.Mkdir(home, 0o700), os.Chown(home, int(c.uid), int(c.gid))); err != nil {
		t.Fatal(err)
	}
	reg := fixture.Serve(t)
	reg.Push("busybox:1", fixture.Busybox(t))
	b := &box{cluster: c, t: t, home: home, reg: reg, ref: reg.Ref("busybox:1")}
	t.Cleanup(b.nothingLeft)
	t.Cleanup(func() { recorded.Check(t, filepath.Join(home, ".local/share/coracle")) })
	return b
}

// nothingLeft fails the test for every process of the job's user that is there when its jobs are gone.
func (b *box) nothingLeft() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.until("the jobs' end", func() error { return b.none(ctx) }); err != nil {
		b.t.Error(err)
	}
	if err := b.until("the jobs' processes", func() error {
		if left := b.processes(); len(left) > 0 {
			return errors.New(strings.Join(left, "\n"))
		}
		return nil
	}); err != nil {
		b.t.Error(err)
	}
}

// processes are the command lines of the user's processes that were started in the box.
func (b *box) processes() (found []string) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, dir := range dirs {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !bytes.Contains(environ, []byte("HOME="+b.home+"\x00")) {
			continue
		}
		if argv, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
			found = append(found, filepath.Base(dir)+" "+string(bytes.ReplaceAll(argv, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// command is a command of the user's in the box.
func (b *box) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := b.cluster.command(ctx, name, args...)
	cmd.Dir = b.home
	cmd.Env = append(cmd.Env, "HOME="+b.home)
	if b.layers != "" {
		cmd.Env = append(cmd.Env, "CORACLE_LAYERS="+b.layers)
	}
	return cmd
}

// do runs a command on the login node.
func (b *box) do(name string, args ...string) result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := b.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		b.t.Fatalf("%s %s: %v %v: %s%s\n%s", name, strings.Join(args, " "), err, ctx.Err(), stdout.String(), stderr.String(), b.logs())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// fine is do for what has to succeed; it returns standard output.
func (b *box) fine(name string, args ...string) string {
	b.t.Helper()
	r := b.do(name, args...)
	if r.code != 0 {
		b.t.Fatalf("%s %s: status %d: %s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// pull has the image in the box's store.
func (b *box) pull() { b.t.Helper(); b.fine("coracle", "pull", "-q", b.ref) }

// run is the record of one run, as far as the tests look at it.
type run struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	State     string            `json:"state"`
	Cause     string            `json:"cause"`
	Message   string            `json:"message"`
	Signal    string            `json:"signal"`
	ExitCode  *int              `json:"exit_code"`
	Scheduler map[string]string `json:"scheduler"`
	UserNS    string            `json:"userns"`
	MPI       struct {
		Way    string   `json:"way"`
		Places []string `json:"places"`
	} `json:"mpi"`
	Limits struct {
		Threads int `json:"threads"`
	} `json:"limits"`
	Totals struct {
		CPU float64 `json:"cpu_seconds"`
	} `json:"totals"`
}

// list is all runs of the box.
func (b *box) list() (list []run) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.fine("coracle", "runs", "--json")), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}

// runs are all of the box, by their rank.
func (b *box) runs() map[int]run {
	b.t.Helper()
	list := b.list()
	ranks := map[int]run{}
	for _, r := range list {
		rank, err := strconv.Atoi(r.Scheduler["SLURM_PROCID"])
		if err != nil {
			b.t.Fatalf("%+v: %v", r, err)
		}
		ranks[rank] = r
	}
	if len(ranks) != len(list) {
		b.t.Fatalf("%d runs of %d ranks", len(list), len(ranks))
	}
	return ranks
}
