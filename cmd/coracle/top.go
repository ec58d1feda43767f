package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/process"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
)

const topName = "top"

const topDescription = `
The processes are listed as this host sees them, with its numbers, by which
'nvidia-smi' and 'py-spy' know them. What comes after the run is for ps, of
whose output the job's lines are shown; without, the columns are those of
'ps -ef'. An init of Coracle's is no process of the job.

Examples:
  coracle top train
  coracle top train -o pid,pcpu,rss,comm
  coracle top --json train | jq '.[].rss_bytes'
`

func topCommand() *cli.Command {
	return &cli.Command{
		Name:        topName,
		Usage:       "List the processes of a running job",
		ArgsUsage:   "ID|NAME|last [PS OPTIONS...]",
		Description: topDescription,
		Flags:       []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := needArguments(c, "the id or name of a run", 0); err != nil {
				return err
			}
			options := slices.DeleteFunc(c.Args().Tail(), func(o string) bool { return o == "--json" }) // no option of any ps
			asJSON := c.Bool("json") || len(options) < c.NArg()-1
			if asJSON && len(options) > 0 {
				return usagef(topName, "--json lists what there is: without options for ps")
			}
			return failing(c, top(c, options, asJSON))
		},
	}
}

func top(c *cli.Context, options []string, asJSON bool) error {
	runs, err := openRuns(c)
	if err != nil {
		return err
	}
	v, err := running(runs, c.Args().First())
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	live, err := job.Container(ctx, v)
	if err != nil {
		return err
	}
	list, err := jobProcesses(v, live)
	if err != nil {
		return err
	}
	p := printer(c)
	switch {
	case asJSON:
		return p.JSON(topRows(list))
	case len(options) > 0:
		lines, err := process.PS(options, list)
		if err != nil {
			return err
		}
		for _, text := range lines {
			if err := p.Line("%s", ui.Escape(text)); err != nil {
				return err
			}
		}
		return nil
	}
	return p.Table(topTable(topRows(list), time.Now()))
}

// jobProcesses are those of the job, as they are now.
func jobProcesses(v record.View, live job.Live) ([]process.Process, error) {
	list, err := process.Below(live.Keeper)
	if err != nil {
		return nil, err
	}
	if live.Init > 1 {
		list = process.Under(list, live.Init)
	}
	if !v.NoInit {
		list = slices.DeleteFunc(list, func(p process.Process) bool { return p.Inside == live.Init })
	}
	process.Complete(list)
	return list, nil
}

// topRow is a process in JSON.
type topRow struct {
	PID       int       `json:"pid"`
	PPID      int       `json:"ppid"`
	PIDInside int       `json:"pid_inside"` // as the job has it
	UID       int       `json:"uid"`        // on the host
	User      string    `json:"user"`
	State     string    `json:"state"` // R, S, D, T, Z: as ps has it
	TTY       string    `json:"tty,omitempty"`
	Name      string    `json:"name"`
	Args      []string  `json:"args"`
	CPU       float64   `json:"cpu_seconds"`
	Started   time.Time `json:"started"`
	Threads   int       `json:"threads"`
	RSS       int64     `json:"rss_bytes"`
	VSZ       int64     `json:"vsz_bytes"`
}

func topRows(list []process.Process) []topRow {
	began := time.Now().Add(-process.Uptime())
	rows := make([]topRow, len(list))
	for i, p := range list {
		rows[i] = topRow{
			PID: p.PID, PPID: p.Parent, PIDInside: p.Inside, UID: p.UID, User: userName(p.UID), State: p.State, TTY: p.TTY,
			Name: p.Name, Args: append([]string{}, p.Args...), CPU: p.CPU.Seconds(), Started: began.Add(p.Begun).UTC().Truncate(time.Millisecond),
			Threads: p.Threads, RSS: p.RSS, VSZ: p.VSZ,
		}
	}
	return rows
}

func userName(uid int) string {
	if uid == os.Getuid() {
		if name := host.Username(); name != "" {
			return name
		}
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// topTable has the columns of ps -ef.
func topTable(rows []topRow, now time.Time) ui.Table {
	t := ui.Table{Columns: []ui.Column{
		{Title: "UID"}, {Title: "PID"}, {Title: "PPID"}, {Title: "C"}, {Title: "STIME"}, {Title: "TTY"}, {Title: "TIME"}, {Title: "CMD", Cut: ui.Back},
	}}
	for _, r := range rows {
		tty, command := r.TTY, strings.Join(r.Args, " ")
		if tty == "" {
			tty = "?"
		}
		if len(r.Args) == 0 {
			command = "[" + r.Name + "]"
		}
		t.Rows = append(t.Rows, []string{
			r.User, strconv.Itoa(r.PID), strconv.Itoa(r.PPID), strconv.Itoa(r.busy(now)), startTime(r.Started.Local(), now), tty, clock(r.CPU), command,
		})
	}
	return t
}

// busy is how much of its life a process has used a processor, in hundredths.
func (r topRow) busy(now time.Time) int {
	life := now.Sub(r.Started).Seconds()
	if life <= 0 {
		return 0
	}
	return int(100 * r.CPU / life)
}

// startTime is as ps has it: the time of today, else the day.
func startTime(at, now time.Time) string {
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04")
	}
	return at.Format("Jan02")
}

func clock(seconds float64) string {
	s := int(seconds)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
