package slurm_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// batch is what `runs --job --json` says, as far as the tests look at it.
type batch struct {
	Job   string
	Tasks []struct {
		Run struct {
			State    string
			ExitCode *int `json:"exit_code"`
			Task     struct{ Rank, Size, Node int }
			Metrics  map[string]struct{ Last, First json.Number }
			Network  string
		}
	}
}

func (b *box) batch(job string) (v batch) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.fine("coracle", "runs", "--job", job, "--json")), &v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// TestTorch: four processes on two nodes train one model with torch.distributed, which finds them by what Coracle has set. All end with the
// same weights, and the batch job is one view.
func TestTorch(t *testing.T) {
	b := newClusterBox(t)
	b.program("examples", "train.py")
	// Of the two nodes no name server knows; gloo is to take the one network that there is everywhere.
	args := strings.Fields("-N2 -n4 --ntasks-per-node=2 --cpus-per-task=1 coracle run -q --add-host n1:127.0.0.1 --add-host n2:127.0.0.1 -e GLOO_SOCKET_IFNAME=lo")
	out := b.fine("srun", append(args, "-v", b.home+":/job", b.ref, "python3", "/job/train.py", "--out", "/job")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(lines)
	said := regexp.MustCompile(`^rank (\d) of 4 on cpu: (loss 0\.[01]\d\d), weights ([0-9a-f]{12})$`)
	var first []string
	for rank, line := range lines {
		m := said.FindStringSubmatch(line)
		if m == nil || m[1] != fmt.Sprint(rank) || first != nil && !slices.Equal(m[2:], first[2:]) {
			t.Fatalf("%q", lines)
		}
		first = m
	}
	var weights []string
	for rank := range 4 {
		text, err := os.ReadFile(filepath.Join(b.home, fmt.Sprintf("weights.%d", rank)))
		if weights = append(weights, string(text)); err != nil || weights[rank] != weights[0] || len(text) != 65 {
			t.Errorf("rank %d: %v, %q", rank, err, weights)
		}
	}
	job := b.runs()[0].Scheduler["SLURM_JOB_ID"]
	table := b.fine("coracle", "runs", "--job", job)
	if !strings.Contains(table, "LOSS") || !strings.Contains(table, "4 finished, on n1, n2") {
		t.Error(table)
	}
	v := b.batch(job)
	if len(v.Tasks) != 4 {
		t.Fatalf("%+v", v)
	}
	for rank, task := range v.Tasks {
		loss := task.Run.Metrics["loss"]
		from, _ := loss.First.Float64()
		to, _ := loss.Last.Float64()
		if task.Run.Task.Rank != rank || task.Run.Task.Size != 4 || task.Run.Task.Node != rank/2 || *task.Run.ExitCode != 0 || from < 0.5 || to > 0.2 || to <= 0 {
			t.Errorf("rank %d: %+v", rank, task)
		}
	}
	if page := b.fine("coracle", "report", "--job", job); !strings.Contains(page, "4 finished") {
		t.Error(page)
	}
}
