package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// herdTables measures what the ranks of a job do: many processes that want one image in the same second.
func herdTables(ctx context.Context, b *workshop, o options) ([]table, error) {
	return eachSubject(ctx, b, o, "herd", func(s subject, r *registry) field {
		f := pullField(b, s, r)
		f.subject = fmt.Sprintf("%s; %d processes at once, until the last one is done", s, o.count)
		f.reference, f.peer, f.rounds = "1 "+coraclePull+", empty store", "", 3
		f.watch = 100 * time.Millisecond // there are many to look at
		f.contenders = herds(ctx, b, r, o.count)
		return f
	})
}

func herds(ctx context.Context, b *workshop, r *registry, count int) (all []contender) {
	add := func(count int, what string, before func() error, one func(ctx context.Context) *exec.Cmd) {
		all = append(all, contender{name: fmt.Sprintf("%d %s", count, what), program: one(ctx).Path, before: before,
			command: func(ctx context.Context, _ int) *exec.Cmd { return herd(ctx, count, one(ctx)) }})
	}
	pull := func(ctx context.Context) *exec.Cmd { return coracle(ctx, b, b.storeDir(), "pull", r.ref) }
	add(1, coraclePull+", empty store", b.fresh, pull)
	add(count, coraclePull+", empty store", b.fresh, pull)
	add(count, "coracle run, empty store", b.fresh, func(ctx context.Context) *exec.Cmd {
		return coracle(ctx, b, b.storeDir(), "run", r.ref, "true")
	})
	stored := filepath.Join(b.dir, "stored")
	run := func(ctx context.Context) *exec.Cmd {
		return coracle(ctx, b, stored, "run", "--pull", "never", r.ref, "true")
	}
	fill := once(func() error { return quietly(coracle(ctx, b, stored, "pull", r.ref)) })
	add(1, "coracle run, stored image", fill, run)
	add(count, "coracle run, stored image", fill, run)
	return all
}

// herd runs a command many times at once. It fails when one of them does.
func herd(ctx context.Context, count int, one *exec.Cmd) *exec.Cmd {
	script := `n=$1; shift; pids=; while [ "$n" -gt 0 ]; do "$@" >/dev/null & pids="$pids $!"; n=$((n-1)); done
		failed=0; for pid in $pids; do wait "$pid" || failed=$((failed+1)); done
		[ "$failed" = 0 ] || { echo "$failed failed" >&2; exit 1; }`
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", script, "sh", fmt.Sprint(count)}, one.Args...)...)
	cmd.Env, cmd.Dir = one.Env, one.Dir
	return cmd
}
