package record

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// selectable are some runs of which each differs from the others, the newest last.
func selectable(t *testing.T) *Runs {
	t.Helper()
	runs := Open(t.TempDir())
	now := time.Now()
	for i, c := range []struct {
		run    Run
		result *Result
	}{
		{Run{Name: "one", Image: Image{Ref: "docker.io/library/debian:12"}, Labels: map[string]string{"team": "a", "lr": "0.1"}}, &Result{
			Cause: Exited, ExitCode: new(0), Peaks: Peaks{MemoryBytes: 1 << 30}, Wall: 7200, Metrics: map[string]Metric{"eval.loss": {Last: 0.5, Count: 1}, "loss": {Last: 9, Count: 1}},
		}},
		{Run{Name: "two", Image: Image{Ref: "docker.io/library/busybox:1"}, Project: "vision", Labels: map[string]string{"team": "b", "lr": "0.01"}, GPUs: []GPU{{UUID: "GPU-1", Name: "H100"}, {Index: 1, UUID: "GPU-2", Name: "H100"}}}, &Result{
			GPUUse: map[string]GPUUse{"1": {Utilization: &Extent{Mean: 0.2, Max: 1}}}, Totals: Totals{GPUEnergyJoules: new(5000.)},
			Cause: OOM, ExitCode: new(137), Peaks: Peaks{MemoryBytes: 2 << 30}, Wall: 60, Metrics: map[string]Metric{"eval.loss": {Last: Number(math.NaN()), Count: 1}},
		}},
		{Run{Name: "three", Supervisor: self(t), Argv: []string{"python3", "train.py"}, Labels: map[string]string{"empty": ""}}, nil},
		{Run{Name: "four", Supervisor: dead(t)}, nil},
	} {
		c.run.Created = now.Add(time.Duration(i-4) * time.Hour)
		w := create(t, runs, c.run)
		if c.result != nil {
			if err := w.Finish(*c.result); err != nil {
				t.Fatal(err)
			}
		}
	}
	return runs
}

func TestFilters(t *testing.T) {
	runs := selectable(t)
	for _, c := range []struct {
		filters []string
		want    []string
	}{
		{nil, []string{"four", "three", "two", "one"}},
		{[]string{"state=running"}, []string{"three"}},
		{[]string{"status=lost"}, []string{"four"}},
		{[]string{"state!=exited"}, []string{"four", "three"}},
		{[]string{"exited=0"}, []string{"one"}},
		{[]string{"exit_code!=0"}, []string{"four", "three", "two"}},
		{[]string{"exit_code>0"}, []string{"two"}},
		{[]string{"cause=oom"}, []string{"two"}},
		{[]string{"name=t*"}, []string{"three", "two"}},
		{[]string{"name=*h*e*"}, []string{"three"}},
		{[]string{"name=o*e", "exit_code=0"}, []string{"one"}},
		{[]string{"image=debian:12"}, []string{"one"}},
		{[]string{"image=debian"}, []string{"one"}},
		{[]string{"ancestor=debian:12"}, []string{"one"}},
		{[]string{"image=docker.io/library/busybox:1"}, []string{"two"}},
		{[]string{"image=ebian"}, nil},
		{[]string{"project=vision"}, []string{"two"}},
		{[]string{"label=team"}, []string{"two", "one"}},
		{[]string{"label=team=a"}, []string{"one"}},
		{[]string{"label!=team=a"}, []string{"four", "three", "two"}},
		{[]string{"label=empty"}, []string{"three"}},
		{[]string{"label.lr<0.05"}, []string{"two"}},
		{[]string{"memory>=1g"}, []string{"two", "one"}},
		{[]string{"peaks.memory_bytes<1536m"}, []string{"one"}},
		{[]string{"wall_seconds>1h"}, []string{"one"}},
		{[]string{"metrics.eval.loss.last<=0.5"}, []string{"one"}},
		{[]string{"metrics.loss.last>0"}, []string{"one"}},
		{[]string{"since=150m"}, []string{"four", "three"}},
		{[]string{"until=150m"}, []string{"two", "one"}},
		{[]string{"created>2020-01-01"}, []string{"four", "three", "two", "one"}},
		{[]string{"argv=*train.py"}, []string{"three"}},
		{[]string{"state=ex*"}, []string{"two", "one"}},
		{[]string{"status=dead"}, nil},
		{[]string{"cause!=oom"}, []string{"four", "three", "one"}},
		{[]string{"exit_code=13*"}, []string{"two"}},
		{[]string{"wall_seconds=1m"}, []string{"two"}},
		{[]string{"paused!=true"}, []string{"four", "three", "two", "one"}},
		{[]string{"gpus.name=*H100*"}, []string{"two"}},
		{[]string{"gpus.uuid=*GPU-2*"}, []string{"two"}},
		{[]string{"gpu_use.1.utilization.mean<0.25"}, []string{"two"}},
		{[]string{"totals.gpu_energy_joules>=5000"}, []string{"two"}},
	} {
		s := Selection{}
		for _, text := range c.filters {
			f, err := ParseFilter(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			s.Filters = append(s.Filters, f)
		}
		if got := selected(t, runs, s); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.filters, got, c.want)
		}
	}
}

func selected(t *testing.T, runs *Runs, s Selection) (names []string) {
	t.Helper()
	views, err := runs.Select(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		names = append(names, v.Name)
	}
	return names
}

func TestNoFilters(t *testing.T) {
	for _, text := range []string{"", "=", "name", "=x", "nosuch=1", "metrics.loss=1", "image.nosuch=1", "wall_seconds>fast", "name!x", "peaks=1", "state.x=1", "gpus.nosuch=1"} {
		if f, err := ParseFilter(text); !errors.Is(err, ErrFilter) {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
}

// A value that a field never has is said, instead of an empty list.
func TestNoValues(t *testing.T) {
	for text, want := range map[string]string{
		"status=bogus":      `state is never "bogus": it is one of running, paused, restarting, exited, lost, damaged`,
		"state!=run":        `state is never "run"`,
		"state=x*":          `state is never "x*"`,
		"state=":            `state is never ""`,
		"cause=oom-killed":  `cause is never "oom-killed": it is one of exited, signalled, `,
		"paused=yes":        `paused is never "yes": it is one of true, false`,
		"exited=one":        `exit_code is never "one": it is a number`,
		"created=yesterday": `created is never "yesterday": it is a time`,
		"created=5":         `created is never "5": it is a time`,
	} {
		_, err := ParseFilter(text)
		if value, ok := errors.AsType[*ValueError](err); !ok || !errors.Is(err, ErrFilter) || !strings.HasPrefix(value.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSort(t *testing.T) {
	runs := selectable(t)
	for field, want := range map[string][]string{
		"name": {"four", "one", "three", "two"}, "-name": {"two", "three", "one", "four"}, "memory": {"one", "two", "four", "three"},
		"-memory": {"two", "one", "four", "three"}, "created": {"one", "two", "three", "four"}, "label.lr": {"two", "one", "four", "three"},
		"metrics.eval.loss.last": {"one", "four", "three", "two"},
	} {
		if got := selected(t, runs, Selection{Sort: field}); !slices.Equal(got, want) {
			t.Errorf("by %s: %q, want %q", field, got, want)
		}
	}
	if got := selected(t, runs, Selection{Sort: "-memory", Limit: 1}); !slices.Equal(got, []string{"two"}) {
		t.Errorf("the greatest: %q", got)
	}
	if _, err := runs.Select(Selection{Sort: "nosuch"}); !errors.Is(err, ErrField) {
		t.Error(err)
	}
}
