package slurm_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestExamples hands each script of examples to sbatch, as a user would, with the image in $IMAGE.
func TestExamples(t *testing.T) {
	for _, c := range []struct {
		script  string
		options []string
		out     string // in the job's output
		table   string // in runs --job
	}{
		// There is no GPU here: the same training, by the same script, on a CPU.
		{"gpu.sbatch", []string{"GPUS=none"}, `(?s)^rank 0 of 1 on cpu: loss 0\.[01]\d\d, weights [0-9a-f]{12}\n`, `(?s) LOSS *\n.*: 1 finished, on n\d\n`},
		{"ddp.sbatch", nil, `(?s)rank \d of 4 on cpu: loss 0\.[01]\d\d, .*4 finished, on n1, n2\n`, `4 finished, on n1, n2\n`},
		// The torchrun of torch 1.13 does not understand its own default of these two with Python 3.11.
		{"torchrun.sbatch", []string{"TORCHRUN_OPTIONS=--redirects 9:1 --tee 9:1"}, `(?s)rank [03] of 4 on cpu: loss 0\.[01]\d\d, .*rank [03] of 4 on cpu: `, `2 finished, on n1, n2\n`},
		{"mpi.sbatch", nil, `(?m)^rank 3 of 4: 10, 600000$`, `4 finished, on n1, n2\n`},
	} {
		t.Run(c.script, func(t *testing.T) {
			b := newClusterBox(t)
			r := b.do("sbatch", b.submission(c.script, append(c.options, "--wait")...)...)
			job := strings.TrimSpace(r.stdout)
			out, err := os.ReadFile(filepath.Join(b.home, strings.TrimSuffix(c.script, ".sbatch")+"-"+job+".out"))
			if r.code != 0 || err != nil || !regexp.MustCompile(c.out).Match(out) {
				t.Errorf("status %d: %s%s, %v", r.code, out, r.stderr, err)
			}
			if table := b.fine("coracle", "runs", "--job", job); !regexp.MustCompile(c.table).MatchString(table) {
				t.Error(table)
			}
		})
	}
}

// submission is sbatch's arguments for an example: variables of the job, and options. Of the nodes no name server knows, so that the
// user says where the first one is, and the one network that there is everywhere is gloo's and Open MPI's.
func (b *box) submission(script string, options ...string) (args []string) {
	b.t.Helper()
	for _, name := range []string{script, "train.py", "serve.py", "allreduce.py"} {
		b.program("examples", name)
	}
	export := "--export=ALL,IMAGE=" + b.ref + ",MASTER_ADDR=127.0.0.1,GLOO_SOCKET_IFNAME=lo"
	for _, o := range options {
		if strings.HasPrefix(o, "--") {
			args = append(args, o)
		} else {
			export += "," + o
		}
	}
	return append(args, "--parsable", export, filepath.Join(b.home, script))
}

// TestGPUExampleWithoutGPU: on a node without a driver the example for GPUs says so.
func TestGPUExampleWithoutGPU(t *testing.T) {
	if _, err := os.Stat("/proc/driver/nvidia"); err == nil {
		t.Skip("this machine has NVIDIA's driver")
	}
	b := newClusterBox(t)
	r := b.do("sbatch", b.submission("gpu.sbatch", "--wait")...)
	out, err := os.ReadFile(filepath.Join(b.home, "gpu-"+strings.TrimSpace(r.stdout)+".out"))
	if r.code != 125 || err != nil || !strings.Contains(string(out), "driver") {
		t.Errorf("status %d: %s, %v", r.code, out, err)
	}
}

// TestSweepExample: the tasks of an array are one table, by the job's number.
func TestSweepExample(t *testing.T) {
	b := newClusterBox(t)
	job := strings.TrimSpace(b.fine("sbatch", b.submission("sweep.sbatch", "--wait")...))
	table := b.fine("coracle", "runs", "--job", job)
	want := regexp.MustCompile(`(?s)^TASK .* LOSS *\n1 .* 0\.\d+.*\n2 .* 0\.\d+.*\n3 .* 0\.\d+.*\n.* job ` + job + ` sweep: 3 finished, on `)
	if !want.MatchString(table) {
		t.Error(table)
	}
}

// TestServeExample: the service answers while it runs, and ends well when the batch system asks it to.
func TestServeExample(t *testing.T) {
	b := newClusterBox(t)
	job := strings.TrimSpace(b.fine("sbatch", b.submission("serve.sbatch")...))
	t.Cleanup(func() { b.do("scancel", "--full", job) }) // it has ended, unless the test has failed
	b.await("service.url")
	text, err := os.ReadFile(filepath.Join(b.home, "service.url"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Post("http://127.0.0.1:"+at.Port()+at.Path, "application/json", strings.NewReader("[[0, 0], [3, 3]]"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); err != nil || string(answer) != "[false, true]" {
		t.Errorf("it answers %q, %v", answer, err)
	}
	b.fine("scancel", "--batch", "--signal=TERM", job)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.until("the job's end", func() error { return b.none(ctx) }); err != nil {
		t.Fatal(err)
	}
	if out, err := os.ReadFile(filepath.Join(b.home, "serve-"+job+".out")); err != nil || !strings.HasSuffix(string(out), "the service has ended\n") {
		t.Errorf("%s, %v", out, err)
	}
	if list := b.list(); len(list) != 1 || list[0].Cause != "stopped" || *list[0].ExitCode != 0 {
		t.Errorf("%+v", list)
	}
}

// TestExamplesAreNamed: the README names each script.
func TestExamplesAreNamed(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("examples/*.sbatch")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		if !strings.Contains(string(readme), "(test/slurm/"+script+")") {
			t.Errorf("README.md does not name %s", script)
		}
	}
}
