package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/metrics/training"
	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/record"
)

// watchFlags are the flags of run that say what is looked for in a job.
func watchFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "timeout", Usage: "End the job after `TIME`, such as 4h or 90m, as a signal would (status 124)"},
		&cli.StringFlag{Name: "checkpoint-signal", Usage: "Ask the job's processes by `SIGNAL` to save their work before they have to end"},
		&cli.StringFlag{Name: "checkpoint-before", Usage: "Ask them `TIME` before the end of the batch job, or of --timeout"},
		&line.List{Name: "exit-code", Usage: "End with another status for a cause, `CAUSE=N`: oom, shm-full, timeout, preempted, stopped, ... (see 'coracle runs show')"},
		&line.List{Name: "metric", Usage: "Find a metric in the output by `NAME=REGEX`: the first group, or that called value, is the value, one called step the step"},
	}
}

// watchOptions reads them. An expression costs nothing to whoever gives none.
func watchOptions(c *cli.Context) (w job.Watch, err error) {
	for _, text := range line.Values(c, "metric") {
		rule, err := training.ParseRule(text)
		if err != nil {
			return w, usagef(jobCommand, "--metric: %v", err)
		}
		w.Metrics = append(w.Metrics, rule)
	}
	if w.Timeout, err = timeLimit("timeout", c.String("timeout")); err != nil {
		return w, err
	}
	if w.Checkpoint.Signal = c.String("checkpoint-signal"); w.Checkpoint.Signal == "" && c.IsSet("checkpoint-signal") {
		return w, usagef(jobCommand, "--checkpoint-signal is empty: write USR1, or leave it out")
	}
	if w.Checkpoint.Before, err = timeLimit("checkpoint-before", c.String("checkpoint-before")); err != nil {
		return w, err
	}
	w.Codes, err = exitCodes(line.Values(c, "exit-code"))
	return w, err
}

// timeLimit reads a duration, or a number of seconds as timeout(1) has it.
func timeLimit(name, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	limit, err := quantity.Span(text)
	if err != nil || limit <= 0 {
		return 0, usagef(jobCommand, "--%s %q is no time: write 4h, 90m, or a number of seconds", name, text)
	}
	return limit, nil
}

// exitCodes reads CAUSE=N. A job's own status stays its own.
func exitCodes(list []string) (map[record.Cause]int, error) {
	codes := map[record.Cause]int{}
	for _, text := range list {
		name, number, _ := strings.Cut(text, "=")
		code, err := strconv.ParseUint(number, 10, 8)
		of := record.Cause(name)
		if err != nil || !slices.Contains(cause.Mappable, of) {
			var names []string
			for _, known := range cause.Mappable {
				names = append(names, string(known))
			}
			return nil, usagef(jobCommand, "--exit-code %q must be CAUSE=N, N from 0 to 255 and CAUSE one of %s", text, strings.Join(names, ", "))
		}
		codes[of] = int(code)
	}
	return codes, nil
}
