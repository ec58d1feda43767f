package main

import (
	"cmp"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/template"
	"github.com/coracle-run/coracle/internal/ui"
)

// statRow is what a --format template sees of what a job uses: docker's fields.
type statRow struct {
	Container, ID, Name, CPUPerc, MemUsage, MemPerc, NetIO, BlockIO, PIDs, Time string
}

func statsFormat(c *cli.Context) (template.Rows[statRow], error) {
	return template.ParseRows[statRow]("stats", c.String("format"), ".Container .ID .Name .CPUPerc .MemUsage .MemPerc .NetIO .BlockIO .PIDs .Time")
}

func formatStats(c *cli.Context, list []stat, short map[string]string) error {
	f, err := statsFormat(c)
	if err != nil {
		return err
	}
	rows := make([]statRow, 0, len(list))
	for _, s := range list {
		id := cmp.Or(short[s.ID], s.ID)
		rows = append(rows, statRow{
			Container: id, ID: id, Name: ui.Escape(s.Name), CPUPerc: percent(s.CPUCores, 1), MemUsage: usedOf(s.Memory, s.MemoryLimit), MemPerc: percent(s.Memory, float64(s.MemoryLimit)),
			NetIO: pair(s.Received, s.Sent), BlockIO: pair(s.Read, s.Written), PIDs: wholeText(s.Processes), Time: ui.Duration(time.Duration(s.Seconds * 1e9)),
		})
	}
	return f.Print(printer(c), statRow{"RUN ID", "RUN ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "FILE I/O", "PIDS", "TIME"}, rows)
}
