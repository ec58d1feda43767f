package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
)

// Batch is one job of a scheduler as its runs tell it: the tasks of its steps, or those of a job array.
type Batch struct {
	Job       string     `json:"job"` // as it was asked for
	Scheduler string     `json:"scheduler"`
	Name      string     `json:"name,omitempty"`
	Nodes     []string   `json:"nodes"`
	Ended     int        `json:"ended"`
	Failed    int        `json:"failed"`
	Running   int        `json:"running"`
	First     *BatchTask `json:"first_failure,omitempty"` // of those that failed by themselves; where none did, of all
	Slowest   *BatchTask `json:"slowest,omitempty"`       // of several that have ended
	Median    float64    `json:"median_seconds,omitempty"`

	Tasks []BatchTask `json:"tasks"`
}

// BatchTask is one run of it.
type BatchTask struct {
	Task     string   `json:"task"` // 3; with several steps 0.3; in an array 7, or 7:0.3
	Node     string   `json:"node"`
	Restarts int      `json:"restarts,omitempty"`
	Seconds  *float64 `json:"seconds"`

	Run record.View `json:"run"`

	order [4]int
}

// Gather is the job that some runs belong to, found among all; no tasks: none does.
func Gather(job string, runs []record.View) Batch {
	b := Batch{Job: job, Nodes: []string{}, Tasks: []BatchTask{}}
	steps, indices, ranks := map[string]bool{}, map[string]bool{}, map[int]bool{}
	for _, v := range runs {
		p := sched.PlaceOf(v.Scheduler)
		if !p.Fits(job) {
			continue
		}
		b.Scheduler, b.Name = p.Scheduler, cmp.Or(b.Name, p.Name)
		steps[p.Step], indices[p.Index], ranks[rankOf(v)] = true, true, true
		t := BatchTask{Node: cmp.Or(p.Node, v.Host.Hostname), Restarts: p.Restarts, Run: v}
		t.order = [4]int{count(p.Index), p.Restarts, count(p.Step), rankOf(v)}
		if v.Wall != nil {
			t.Seconds = v.Wall
		}
		if !slices.Contains(b.Nodes, t.Node) {
			b.Nodes = append(b.Nodes, t.Node)
		}
		b.Tasks = append(b.Tasks, t)
	}
	slices.Sort(b.Nodes)
	slices.SortStableFunc(b.Tasks, func(x, y BatchTask) int {
		return cmp.Or(slices.Compare(x.order[:], y.order[:]), x.Run.Created.Compare(y.Run.Created))
	})
	for i := range b.Tasks {
		b.Tasks[i].Task = label(b.Tasks[i].Run, len(indices) > 1, len(steps) > 1, len(ranks) > 1)
	}
	b.sumUp()
	return b
}

// Runs are those of the tasks, in their order.
func (b *Batch) Runs() (list []record.View) {
	for _, t := range b.Tasks {
		list = append(list, t.Run)
	}
	return list
}

// label names a task by as many of its numbers as tell it from the others.
func label(v record.View, array, steps, ranks bool) string {
	p := sched.PlaceOf(v.Scheduler)
	inStep := strconv.Itoa(rankOf(v))
	if steps {
		inStep = cmp.Or(p.Step, "batch") + "." + inStep
	}
	switch {
	case !array:
		return inStep
	case !steps && !ranks:
		return p.Index
	}
	return p.Index + ":" + inStep
}

// rankOf is a run's rank; 0 of one that was alone.
func rankOf(v record.View) int {
	if v.Task != nil {
		return v.Task.Rank
	}
	return max(0, count(v.Scheduler["SLURM_PROCID"]))
}

// count is a number of the scheduler's; what is none comes first.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
}

// Failed reports whether a run came to a bad end.
func Failed(v record.View) bool {
	return v.State != record.Running && (v.State != record.Ended || v.ExitCode == nil || *v.ExitCode != 0)
}

// byItself tells a run that failed from one that was ended, perhaps because another failed.
func byItself(v record.View) bool { return v.Cause != record.Stopped }

func (b *Batch) sumUp() {
	var walls []float64
	for i := range b.Tasks {
		t := &b.Tasks[i]
		switch {
		case t.Run.State == record.Running:
			b.Running++
			continue
		case Failed(t.Run):
			b.Failed++
			if b.First == nil || before(t.Run, b.First.Run) {
				b.First = t
			}
		default:
			b.Ended++
		}
		if t.Seconds != nil {
			walls = append(walls, *t.Seconds)
			if b.Slowest == nil || *t.Seconds > *b.Slowest.Seconds {
				b.Slowest = t
			}
		}
	}
	if len(walls) < 2 {
		b.Slowest = nil
		return
	}
	slices.Sort(walls)
	b.Median = (walls[(len(walls)-1)/2] + walls[len(walls)/2]) / 2
}

// before reports whether one failure came before another. Who was ended did not begin it.
func before(a, b record.View) bool {
	if byItself(a) != byItself(b) {
		return byItself(a)
	}
	return a.Finished != nil && b.Finished != nil && a.Finished.Before(*b.Finished)
}

// MetricNames are those of the training metrics that most of the tasks have, at most so many, for a table.
func (b *Batch) MetricNames(most int) []string {
	have := map[string]int{}
	for _, t := range b.Tasks {
		for name := range t.Run.Metrics {
			have[name]++
		}
	}
	names := slices.SortedFunc(maps.Keys(have), func(x, y string) int { return cmp.Or(have[y]-have[x], strings.Compare(x, y)) })
	return names[:min(most, len(names))]
}

// Lines are what a job's tasks come to, in sentences. They hold what strangers wrote as it is.
func (b *Batch) Lines(w Words) []string {
	if len(b.Tasks) == 0 {
		return nil
	}
	head := strings.TrimSpace(b.Scheduler+" job "+b.Job+" "+b.Name) + ": "
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{b.Ended, "finished"}, {b.Failed, "failed"}, {b.Running, "running"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	lines := []string{head + strings.Join(parts, ", ") + ", on " + strings.Join(b.Nodes, ", ")}
	if t := b.First; t != nil {
		when := ""
		if t.Run.Finished != nil {
			when = " at " + w.Time(*t.Run.Finished)
		}
		lines = append(lines, "first to fail: task "+t.Task+" on "+t.Node+when+": "+cmp.Or(t.Run.Message, string(t.Run.Cause)))
	}
	if t := b.Slowest; t != nil {
		lines = append(lines, fmt.Sprintf("slowest: task %s on %s, %s; the median is %s", t.Task, t.Node, seconds(w, *t.Seconds), seconds(w, b.Median)))
	}
	return lines
}

func seconds(w Words, s float64) string { return w.Duration(time.Duration(s * float64(time.Second))) }
