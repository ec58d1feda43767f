package report

import (
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// task is a run of rank in a step of job 42, or of an array's job.
func batchRun(rank, step, index, node string, cause record.Cause, code int, seconds float64) record.View {
	ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(seconds * 1e9))
	v := record.View{State: record.Ended, Cause: cause, ExitCode: &code, Wall: &seconds, Finished: &ended, Message: "because " + rank}
	v.Scheduler = map[string]string{"SLURM_JOB_ID": "42", "SLURM_JOB_NAME": "train", "SLURM_PROCID": rank, "SLURM_STEP_ID": step, "SLURMD_NODENAME": node}
	if index != "" {
		v.Scheduler["SLURM_ARRAY_JOB_ID"], v.Scheduler["SLURM_ARRAY_TASK_ID"], v.Scheduler["SLURM_JOB_ID"] = "42", index, "4"+index
	}
	return v
}

func TestGather(t *testing.T) {
	running := batchRun("2", "0", "", "n2", "", 0, 0)
	running.State, running.Wall, running.Finished, running.ExitCode = record.Running, nil, nil, nil
	other := batchRun("0", "0", "", "n9", record.Exited, 0, 1)
	other.Scheduler["SLURM_JOB_ID"] = "421"
	for _, c := range []struct {
		name  string
		job   string
		runs  []record.View
		tasks string
		lines string
	}{
		{"nothing", "42", []record.View{other}, "", ""},
		{
			"ranks", "42",
			[]record.View{
				batchRun("10", "0", "", "n2", record.Stopped, 143, 9), batchRun("1", "0", "", "n1", record.Signalled, 137, 10), other, running,
				batchRun("0", "0", "", "n1", record.Exited, 0, 20),
			},
			"0 1 2 10",
			"Slurm job 42 train: 1 finished, 2 failed, 1 running, on n1, n2|first to fail: task 1 on n1 at 03:04:15: because 1|slowest: task 0 on n1, 20s; the median is 10s",
		},
		{
			"all ended from outside", "42",
			[]record.View{batchRun("0", "0", "", "n1", record.Stopped, 143, 9), batchRun("1", "0", "", "n1", record.Stopped, 143, 8)},
			"0 1",
			"Slurm job 42 train: 2 failed, on n1|first to fail: task 1 on n1 at 03:04:13: because 1|slowest: task 0 on n1, 9s; the median is 8.5s",
		},
		{
			"steps", "42",
			[]record.View{batchRun("0", "1", "", "n1", record.Exited, 0, 1), batchRun("0", "0", "", "n1", record.Exited, 0, 3), batchRun("1", "0", "", "n1", record.Exited, 0, 2)},
			"0.0 0.1 1.0",
			"Slurm job 42 train: 3 finished, on n1|slowest: task 0.0 on n1, 3s; the median is 2s",
		},
		{
			"one step of them", "42.1",
			[]record.View{batchRun("0", "1", "", "n1", record.Exited, 0, 1), batchRun("0", "0", "", "n1", record.Exited, 0, 3)},
			"0",
			"Slurm job 42.1 train: 1 finished, on n1",
		},
		{
			"an array", "42",
			[]record.View{batchRun("0", "0", "10", "n1", record.Exited, 0, 1), batchRun("0", "0", "9", "n2", record.Exited, 1, 3)},
			"9 10",
			"Slurm job 42 train: 1 finished, 1 failed, on n1, n2|first to fail: task 9 on n2 at 03:04:08: because 0|slowest: task 9 on n2, 3s; the median is 2s",
		},
	} {
		b := Gather(c.job, c.runs)
		var tasks []string
		for _, task := range b.Tasks {
			tasks = append(tasks, task.Task)
		}
		if got := strings.Join(tasks, " "); got != c.tasks {
			t.Errorf("%s: tasks %q, want %q", c.name, got, c.tasks)
		}
		w := Words{Duration: time.Duration.String, Time: func(at time.Time) string { return at.Format(time.TimeOnly) }}
		if got := strings.Join(b.Lines(w), "|"); got != c.lines {
			t.Errorf("%s:\n%s, want\n%s", c.name, got, c.lines)
		}
	}
}

func TestMetricNames(t *testing.T) {
	with := func(names ...string) BatchTask {
		v := record.View{Metrics: map[string]record.Metric{}}
		for _, n := range names {
			v.Metrics[n] = record.Metric{}
		}
		return BatchTask{Run: v}
	}
	b := Batch{Tasks: []BatchTask{with("loss", "acc", "z"), with("loss", "acc"), with("loss")}}
	if got := strings.Join(b.MetricNames(2), " "); got != "loss acc" {
		t.Error(got)
	}
	if got := (&Batch{}).MetricNames(4); len(got) != 0 {
		t.Error(got)
	}
}

// TestNotable: who failed comes first, in the order of the failures, and who was ended for it after them; then who took longest.
func TestNotable(t *testing.T) {
	b := Gather("42", []record.View{
		batchRun("0", "0", "", "n1", record.Exited, 0, 5), batchRun("1", "0", "", "n1", record.Stopped, 143, 8), batchRun("2", "0", "", "n2", record.Exited, 0, 20),
		batchRun("3", "0", "", "n2", record.OOM, 137, 9), batchRun("4", "0", "", "n2", record.Exited, 1, 10),
	})
	for most, want := range map[int]string{9: "3 4 1 2 0", 2: "3 4", 0: ""} {
		var got []string
		for _, task := range b.Notable(most) {
			got = append(got, task.Task)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%d of them: %q, want %q", most, got, want)
		}
	}
}

// TestJobPage: what a job's tasks come to, and nothing of a stranger's on the page but text.
func TestJobPage(t *testing.T) {
	views := []record.View{batchRun("0", "0", "", "n1", record.Exited, 0, 5), batchRun("1", "0", "", hostile, record.OOM, 137, 8)}
	for i := range views {
		var m record.Metric
		m.Add(float64(i)/2, 1)
		views[i].Metrics = map[string]record.Metric{"loss": m, hostile: m}
		views[i].Totals, views[i].Peaks = &record.Totals{CPUSeconds: 2}, &record.Peaks{MemoryBytes: int64(i) << 20}
		views[i].Created = time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
		views[i].Message = hostile
	}
	b := Gather("42", views)
	page := strings.Join(b.Page(plainWords, time.Now()), "\n")
	for _, want := range []string{"1 finished, 1 failed", "of CPU, and at most", "in one task (1)", "first to fail: task 1 on", "loss: 0 (task 0) to 0.5 (task 1), median 0.5"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	words := plainWords
	words.Escape = func(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x1b", "?"), "?") }
	var out strings.Builder
	if err := JobHTML(&out, &b, []Run{hostileRun()}, words, time.Now()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Count(text, "<script") != 2 || strings.Count(text, "<style") != 1 || strings.Contains(text, "<img") || strings.Count(text, `<tr class="`) < 2 {
		t.Errorf("%d scripts, %d styles", strings.Count(text, "<script"), strings.Count(text, "<style"))
	}
}
