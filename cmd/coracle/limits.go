package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/limit"
	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/spec"
)

// limitFlags are what a job can be held to.
func limitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: cgroup.CPUs, Usage: "Use at most `NUMBER` of CPUs, such as 1.5"},
		&cli.StringFlag{Name: cgroup.CPUSet, Usage: "Run on the CPUs of `LIST` alone, such as 0-3,7"},
		&cli.StringFlag{Name: cgroup.Memory, Aliases: []string{"m"}, Usage: "Use at most `SIZE` of memory, such as 8g"},
		&cli.StringFlag{Name: cgroup.Swap, Usage: "Use at most `SIZE` of memory and swap together, or -1 (default: twice the memory)"},
		&cli.StringFlag{Name: cgroup.Pids, Usage: "Have at most `NUMBER` of processes and threads, or -1 (default: 32768, where that can be enforced)"},
		&cli.StringFlag{Name: cgroup.IOWeight, Aliases: []string{"blkio-weight"}, Usage: "Get a share of the disk by `WEIGHT`, 10 to 1000"},
		&cli.StringFlag{Name: "shm-size", Usage: "Make /dev/shm `SIZE` large, such as 8g (default: half of the memory that the job may use)"},
		&line.List{Name: "ulimit", Usage: "Limit each process by `NAME=SOFT[:HARD]`, such as nofile=1024:4096"},
		&cli.StringFlag{Name: "oom-score-adj", Usage: "Have the kernel end the job sooner or later than others when memory is out: `NUMBER`, -1000 to 1000"},
		&cli.BoolFlag{Name: "require-limits", Usage: "Do not run the job if one of its limits cannot be enforced"},
	}
}

// limitOptions reads what a job is to be held to.
func limitOptions(c *cli.Context) (l limit.Limits, err error) {
	l.Require = c.Bool("require-limits")
	if l.MemoryBytes, err = sizeFlag(c, cgroup.Memory); err != nil {
		return l, err
	}
	if c.String(cgroup.Swap) == "-1" {
		l.SwapBytes = cgroup.Unlimited
	} else if l.SwapBytes, err = sizeFlag(c, cgroup.Swap); err != nil {
		return l, err
	}
	if text := c.String(cgroup.CPUs); text != "" {
		if l.NanoCPUs, err = cgroup.ParseCPUs(text); err != nil {
			return l, badOption(cgroup.CPUs, text, err)
		}
	}
	if text := c.String(cgroup.CPUSet); text != "" {
		if l.CPUSet, err = cgroup.ParseCPUSet(text); err != nil {
			return l, badOption(cgroup.CPUSet, text, err)
		}
	}
	if l.Pids, err = numberFlag(c, cgroup.Pids, cgroup.Unlimited, 1<<31-1); err != nil {
		return l, err
	}
	if c.String(cgroup.Pids) == "0" {
		l.Pids = cgroup.Unlimited // for docker it is the same
	}
	weight, err := numberFlag(c, cgroup.IOWeight, 0, 1<<16-1)
	if err != nil {
		return l, err
	}
	l.IOWeight = uint16(weight)
	return l, processLimits(c, &l)
}

// processLimits reads what holds each process of a job.
func processLimits(c *cli.Context, l *limit.Limits) error {
	const oomScoreAdj, most = "oom-score-adj", 1000
	if c.IsSet(oomScoreAdj) {
		n, err := numberFlag(c, oomScoreAdj, -most, most)
		if err != nil {
			return err
		}
		adj := int(n)
		l.OOMScoreAdj = &adj
	}
	for _, text := range line.Values(c, "ulimit") {
		u, err := units.ParseUlimit(text)
		if err != nil {
			return badOption("ulimit", text, err)
		}
		l.Ulimits = append(l.Ulimits, limit.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return nil
}

// sizeFlag is a size in bytes; 0 where the flag is not given.
func sizeFlag(c *cli.Context, name string) (int64, error) {
	text := c.String(name)
	if text == "" {
		return 0, nil
	}
	bytes, err := quantity.Size(text)
	if err != nil || bytes <= 0 {
		return 0, usagef(jobCommand, "--%s %q is %v", name, text, quantity.ErrSize)
	}
	return bytes, nil
}

// numberFlag is a whole number in some range; 0 where the flag is not given.
func numberFlag(c *cli.Context, name string, least, most int64) (int64, error) {
	text := c.String(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, usagef(jobCommand, "--%s %q is no number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// limitsText is what a job was held to of what was asked for; "" for nothing.
func limitsText(l record.Limits) string {
	var parts []string
	for _, e := range l.Enforced {
		if _, asked := l.Requested[e.Limit]; asked {
			parts = append(parts, e.Limit+" "+limitText(e)+" ("+e.Mechanism+")")
		}
	}
	for _, m := range l.Missing {
		parts = append(parts, m.Limit+" "+limitText(m)+" (not enforced)")
	}
	return strings.Join(parts, ", ")
}

// limitText is the value of a limit as a user would write it.
func limitText(l record.Limit) string {
	bytes, err := strconv.ParseInt(l.Value, 10, 64)
	if err != nil || l.Limit != cgroup.Memory && l.Limit != cgroup.Swap {
		return l.Value
	}
	return cgroup.FormatMemory(bytes)
}

func badOption(name, text string, err error) error {
	return fmt.Errorf("%w: --%s %s: %w", spec.ErrOption, name, text, err)
}
