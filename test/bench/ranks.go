package main

import (
	"context"
	"fmt"
	"os/exec"
)

// ranksTables measures what it costs that the ranks of a step begin together: so many runs of one stored image at the same moment, beside
// as many that come one after another.
func ranksTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	const layers = 4
	image, err := busybox(b.dir+"/ranks", layers, "")
	if err != nil {
		return nil, err
	}
	r := serve(image, link{})
	b.stop = append(b.stop, r.stop)
	lone, together := fmt.Sprintf("%d runs, one after another", o.count), fmt.Sprintf("%d ranks at once", o.count)
	f := field{
		columns: trainColumns, reference: lone, rounds: 5, warmup: 1,
		subject: fmt.Sprintf("`true` in a stored image of %d layers, %d times; CPU is that of all processes", layers, o.count),
	}
	one := startCoracle(ctx, b, r.ref, "coracle")
	for _, c := range []struct{ name, script string }{
		{lone, step + `while [ "$n" -gt 0 ]; do n=$((n-1)); rank "$@" || failed=$((failed+1)); done` + done},
		{together, step + `while [ "$n" -gt 0 ]; do n=$((n-1)); rank "$@" & pids="$pids $!"; done
			for pid in $pids; do wait "$pid" || failed=$((failed+1)); done` + done},
	} {
		f.contenders = append(f.contenders, contender{name: c.name, program: one.program, before: one.before,
			command: func(ctx context.Context, number int) *exec.Cmd {
				run := one.command(ctx, number)
				cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", c.script, "sh", fmt.Sprint(o.count)}, run.Args...)...)
				cmd.Env, cmd.Dir = run.Env, run.Dir
				return cmd
			}})
	}
	t, err := f.run(ctx, "ranks", o, b)
	return []table{t}, err
}

// A step of Slurm's, as its tasks see it. What begins before and after the ranks' own commands is the shell's, and the same for both.
const (
	step = `n=$1; all=$1; shift; failed=0; pids=
		export SLURM_JOB_ID=42 SLURM_STEP_ID=0 SLURM_NTASKS=$all SLURM_STEP_NUM_TASKS=$all SLURM_STEP_TASKS_PER_NODE=$all SLURM_NODEID=0 SLURM_JOB_NODELIST=n1
		rank() { SLURM_PROCID=$n SLURM_LOCALID=$n "$@" >/dev/null; }
		`
	done = `
		[ "$failed" = 0 ] || { echo "$failed failed" >&2; exit 1; }`
)
