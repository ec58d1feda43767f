package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
)

// recorded is how many runs there are records of.
const recorded = 10_000

// recordTables measures what looks at all records, of which there are many.
func recordTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	store := filepath.Join(b.dir, "records")
	fill := once(func() error { return fillRecords(store) })
	lose := func() error {
		if err := fill(); err != nil {
			return err
		}
		return fsx.RemoveAll(filepath.Join(store, "index"))
	}
	contenders := []contender{{name: "fork and exec", program: "/bin/true", command: always("/bin/true")}}
	add := func(before func() error, name string, args ...string) {
		contenders = append(contenders, contender{name: name, program: b.coracle, before: before,
			command: func(ctx context.Context, _ int) *exec.Cmd { return coracle(ctx, b, store, args...) }})
	}
	add(fill, "coracle version", "version")
	add(fill, "coracle ps", "ps")
	add(fill, "coracle ps --all", "ps", "--all")
	add(fill, "coracle runs", "runs")
	add(fill, "coracle runs --filter", "runs", "--filter", "label=lr=0.7")
	add(fill, "coracle runs show NAME", "runs", "show", "run-17")
	add(lose, "coracle runs, no index", "runs")
	f := field{
		columns: startColumns, reference: "coracle version", rounds: 20, warmup: 2, contenders: contenders,
		subject: fmt.Sprintf("lists of %d runs, and one of them by its name", recorded),
	}
	t, err := f.run(ctx, "records", o, b)
	return []table{t}, err
}

// fillRecords makes the records of runs that have ended, as a run of an image of four layers leaves them.
func fillRecords(store string) error {
	owner, err := host.Self()
	if err != nil {
		return err
	}
	runs, code, begin := record.Open(store), 0, time.Now().Add(-recorded*time.Minute)
	for i := range recorded {
		at := begin.Add(time.Duration(i) * time.Minute)
		run := record.Run{
			Name: fmt.Sprint("run-", i), Created: at, Labels: map[string]string{"lr": fmt.Sprint(float64(i%10) / 10)}, Supervisor: owner,
			Image: record.Image{Ref: fmt.Sprintf("docker.io/library/image-%d:1", i%20), Digest: digestOf(i), Platform: "linux/amd64", Layers: []string{digestOf(1), digestOf(2), digestOf(3), digestOf(4)}},
			Argv:  []string{"python3", "/src/train.py", "--epochs", "20", "--seed", fmt.Sprint(i)}, Cwd: "/src", User: "1000", UserNS: "flat",
			Mounts: []record.Mount{{Type: "bind", Source: "/home/ada/data", Target: "/data", Mode: "ro", FSType: "ext4"}, {Type: "bind", Source: "/home/ada/src", Target: "/src", Mode: "rw", FSType: "ext4"}},
			Host:   record.Host{Hostname: owner.Host, Arch: "x86_64", CPUs: 2}, Network: "host", Namespaces: []string{"user", "mount", "pid", "ipc", "uts"},
			Command: []string{"coracle", "run", "--name", fmt.Sprint("run-", i)},
		}
		for n := range 30 {
			run.Env.Names = append(run.Env.Names, fmt.Sprint("VARIABLE_", n))
		}
		w, err := runs.Create(run)
		if err != nil {
			return err
		}
		if err := w.Finish(record.Result{Started: at, Finished: at.Add(time.Second), Wall: 1, ExitCode: &code, Cause: record.Exited, Message: "The job ended by itself with status 0."}); err != nil {
			return err
		}
	}
	const settled = 3 * time.Second // what has changed just now is not indexed
	time.Sleep(settled)
	return nil
}

func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }
