package main

import (
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/metrics/training"
)

// watchFlags are the flags of run that say what is looked for in a job.
func watchFlags() []cli.Flag {
	return []cli.Flag{
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
	return w, nil
}
