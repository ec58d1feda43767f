package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/hint"
	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/env"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/quantity"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/pull"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/spec"
)

const runDescription = `
Runs a command in a new container of the image, or the image's own command, and
ends with its status. The image is pulled when it is not stored. What the job
writes outside its volumes is gone when it ends; the record of the run stays
(see 'coracle runs').

The job is you: whatever USER the image names, files it makes in a volume are
yours, and it has no capabilities and no new privileges. It sees the host's
network and the scheduler's variables (SLURM_*, PMIX_*, NCCL_*, ...), but not
your home directory nor the rest of your environment.

Images that are several users, as a database's that starts as root and becomes
another, need --userns subuid: you are their root, and the others are your
subordinate ids (/etc/subuid). Files those write to a volume are not yours on
the host; 'coracle run --userns subuid -v DIR:/v IMAGE chown -R 0:0 /v' makes
them yours.

A secret (--secret) is a file below /run/secrets that the job's user alone can
read, in memory. It is in no variable, command line, log or record, as what is
given by -e is for everybody who may look at the job.

Limits (--memory, --cpus, ...) hold where this host lets you make control
groups: cgroup v2 that was delegated to you, your systemd user manager, or as
root. In a batch job the scheduler's hold. What cannot be enforced is said once,
and the job runs; with --require-limits it does not. A job with fewer CPUs than
the host is told by OMP_NUM_THREADS and its like, unless you or the image set
them.

GPUs are asked for by --gpus: all, a number, or by name (device=0,1, GPU-UUID,
MIG-UUID, 0:1 for instance 1 of GPU 0). In a batch job 'all' are those that the
scheduler has given, and the job numbers them from 0. Nothing that an image says
grants one. The driver's libraries are mounted as they are on the host now; a
driver in a place of its own is found with --driver-root. Other devices, as
AMD's, come by --device: a file of /dev, VENDOR/CLASS=NAME of an installed CDI
specification, or infiniband.

The network is the host's. With --network private the job has its own, through
pasta (package passt) or slirp4netns: the world can be reached from it, the
host's loopback device cannot, and -p makes the job's ports the host's. docker's
--network bridge means the same. --network none is a loopback device alone.

Signals to coracle reach the job, SIGTERM as the image's stop signal where it
has one. After SIGTERM, SIGINT, SIGHUP or SIGQUIT it has --stop-timeout to end.
With --init=false the job is process 1: a signal that it does not handle does
nothing, and what is orphaned in the container stays a zombie unless it reaps.

A job that srun --mpi=pmix or --mpi=pmi2, mpirun or another launcher of parallel
programs has started takes part in its MPI (--mpi): it inherits the launcher's
socket or sees its directories. PMIx knows a process by its user, so that the
job then has your own numbers (--userns host-uid), unless --userns or --user say
otherwise, and where they do, no part in it. Tasks of one node do not share
memory unless --share node says so: Open MPI and MPICH are told.

With --checkpoint-signal USR1, those of the job's processes that handle SIGUSR1
get it first: when a signal asks the job to end, when the batch system sends
SIGUSR1 itself, or --checkpoint-before the end. They have --stop-timeout to save
their work, then comes SIGTERM, then SIGKILL. What was saved is in the record;
in a batch job the cause is 'preempted', which --exit-code preempted=75 makes
known to a script that puts the job back into the queue. Slurm signals all
processes of a step, the job's too: what has no handler for SIGTERM ends by it
at once. Have Slurm warn before (--signal=USR1@120), or ask by SIGTERM itself.

With -d the run's id is printed once the job has begun, and the job goes on in
the background, without the terminal: 'coracle logs -f', 'coracle wait' and
'coracle stop' have it from there. What keeps it from beginning is told as
without -d. In a batch job it ends with the step that has started it; where
systemd would end it when you log out, that is said. A job with -it is left by
typing Ctrl-P Ctrl-Q, and goes on; 'coracle attach' has its terminal again.

With --share node, the ranks that srun (or Open MPI's mpirun, Flux, PALS) starts
together on one node share one container: each other's processes, memory (CUDA
IPC, process_vm_readv), /dev/shm and files. All must ask for the same image,
mounts and devices; command, variables and limits are each one's own, and so are
signals, status and record. It ends with the last of them.

With --restart on-failure a job that fails is started again in a container like
the first, with what it has written: after 100 ms, each time after twice that,
at most a minute, and after 100 ms again when it has run for 10 s. A signal,
stop or kill, --timeout and a checkpoint that was asked for end it for good.
always and unless-stopped start it again whatever its status; nobody does once
this machine has been restarted, as there is no daemon. All starts are one run,
whose record has the status and the cause of each.

With --upper keep:NAME what the job writes outside its volumes stays under that
name, for the next run that says the same, with the same image: packages that
were installed by hand, say. 'coracle upper' lists and removes what is kept.

Examples:
  coracle run debian:12 cat /etc/os-release
  coracle run -v ./data:/data:ro -v ./out:/out IMAGE python3 /data/train.py
  coracle run -it -v $PWD:/src -w /src python:3.13 bash
  coracle run -v model:/model --mount type=image,src=WEIGHTS,dst=/weights IMAGE
  coracle run --secret id=hf,env=HF_TOKEN --secret id=key,src=api.key IMAGE
  coracle run -e EPOCHS=3 --env-file settings.env --name baseline IMAGE
  coracle run --userns subuid -v ./db:/var/lib/postgresql/data postgres:17
  coracle run --mount type=tmpfs,target=/scratch,tmpfs-size=2g --read-only IMAGE
  coracle run --network private -p 127.0.0.1:8888:8888 IMAGE jupyter lab
  coracle run -d --name train --gpus all IMAGE python3 train.py
  coracle run -d --restart on-failure:5 IMAGE python3 serve.py
  coracle run --upper keep:dev -it python:3.13 bash
  srun coracle run --checkpoint-signal USR1 --stop-timeout 120s IMAGE ./train
  srun -n8 --gpus-per-node 8 coracle run --gpus all --share node IMAGE ./train
  coracle run --memory 16g --cpus 4 --require-limits IMAGE python3 train.py

Exit codes:
  N      the job's own status; 128+N when signal N ended it
  124    the job reached --timeout
  125    Coracle failed: no such image, bad option, no user namespaces, ...
  126    the command cannot be executed
  127    the command is not in the image
`

func runCommand() *cli.Command {
	return &cli.Command{
		Name:        jobCommand,
		Usage:       "Run a job in a container and leave a record",
		ArgsUsage:   "IMAGE [COMMAND] [ARG...]",
		Description: runDescription,
		Flags: slices.Concat([]cli.Flag{
			&line.List{Name: "env", Aliases: []string{"e"}, Usage: "Set a variable: `NAME=VALUE`, or NAME for your own value"},
			&line.List{Name: "env-file", Usage: "Read variables from `FILE`, one a line"},
			&cli.StringFlag{Name: "entrypoint", Usage: "Run `PROGRAM` instead of the image's entrypoint"},
			&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "Start in `DIR` of the container"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "Be this `USER[:GROUP]` of the image, by name or number"},
			&cli.StringFlag{Name: "userns", Value: string(job.Flat), Usage: "Be `WHO` inside: flat (the image's user, the default), root, host-uid (your own number and name), or subuid (as flat, among the image's other users)"},
			volumeFlag(), mountFlag(), tmpfsFlag(), mountCwdFlag(), homeFlag(), secretFlag(),
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "Give the job your standard input"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "Give the job a terminal"},
			&cli.BoolFlag{Name: "init", Value: true, Usage: "Run an init as process 1, which reaps orphans; with --init=false the job is process 1"},
			shareFlag(), upperFlag(),
			&cli.StringFlag{Name: "name", Usage: "Call the run `NAME`; no two running jobs share one"},
			&cli.StringFlag{Name: "hostname", Usage: "Call the container's host `NAME` (default: as this host)"},
			&cli.BoolFlag{Name: "read-only", Usage: "Make the image's files read-only for the job"},
			&line.List{Name: "cap-add", Usage: "Let the job keep this `CAPABILITY` over its own namespaces, or ALL (default: none)"},
			&line.List{Name: "cap-drop", Usage: "Take this `CAPABILITY` from what --cap-add gives, or ALL"},
			&line.List{Name: "security-opt", Usage: "seccomp=FILE, seccomp=unconfined or no-new-privileges=false: `OPTION` that loosens what holds the job"},
			&cli.BoolFlag{Name: "privileged", Hidden: true},
			&cli.StringFlag{Name: "pull", Value: string(catalog.PullMissing), Usage: "Pull the image `WHEN`: missing (the default), always or never"},
			&cli.StringFlag{Name: "platform", Usage: "Use the image for another platform, `OS/ARCH`"},
			&cli.BoolFlag{Name: "insecure", Usage: "Allow plain http and unverified certificates for the registry"},
			memoryFlag(),
			progressFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Show no progress of a pull"},
			&cli.StringFlag{Name: "stop-signal", Usage: "Send the job `SIGNAL` in place of SIGTERM (default: as the image says, else SIGTERM)"},
			&cli.StringFlag{Name: "stop-timeout", Value: "10s", Usage: "Kill the job `TIME` after it was asked to end (default: 10s)"},
			&cli.BoolFlag{Name: "rm", Usage: "Accepted for docker's sake: the container always goes, the record always stays"},
			mpiFlag(),
		}, detachFlags(), limitFlags(), networkFlags(), deviceFlags(), watchFlags(), summaryFlags(), labelFlags()),
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	if err := needArguments(c, "the name of an image", 0); err != nil {
		return err
	}
	if parts(c) {
		return part(c)
	}
	settings, err := applySettings(c)
	if err != nil {
		return failing(c, err)
	}
	options, err := runOptions(c)
	if err != nil {
		return failing(c, err)
	}
	options.Settings = settings
	summary, err := summaryOf(c)
	if err != nil {
		return err
	}
	s, err := openStore(c)
	if err != nil {
		return failing(c, err)
	}
	options.Fetch.Pull = func(ctx context.Context, name catalog.Name) (store.Image, error) {
		return fetchForRun(ctx, c, s, name)
	}
	set, err := configuration(c)
	if err != nil {
		return failing(c, err)
	}
	options.Fetch.Permit = permit(s, set)
	if !c.Bool("quiet") {
		options.Fetch.Stored = func(image store.Image) { tellImage(printer(c), s, image) }
	}
	runner := job.Runner{
		Store:   s,
		Runs:    record.Open(s.Dirs().Data),
		Version: recordVersion(),
		Environ: os.Environ(),
		Notice:  func(text string) { printer(c).Warn("%s", text) },
		Advise:  hint.Of,
		Begun:   begun(s.Dirs().Layers),
		Sweep:   sweeper(s),
		Settle: func(image store.Image) {
			if err := settleBehind(s, image); err != nil {
				printer(c).Warn("what was made of the image's layers cannot be settled, and may be made again: %v", err)
			}
		},
	}
	id := ""
	runner.Recorded = func(made string) { id = made }
	err = runner.Run(c.Context, options, job.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	summary.print(runner.Runs, id)
	return runFailure(c, err)
}

// runFailure says what failed, unless the job has said it itself.
func runFailure(c *cli.Context, err error) error {
	exit := (*job.ExitError)(nil)
	if !errors.As(err, &exit) || exit.Silent() {
		return err
	}
	return &job.ExitError{Code: exit.Code, Err: failing(c, exit.Err)}
}

// runOptions reads the command line into what a job is asked for.
func runOptions(c *cli.Context) (job.Options, error) {
	o := job.Options{
		Image:       c.Args().First(),
		Fetch:       catalog.Fetch{Platform: c.String("platform")},
		Spec:        spec.Options{Hostname: c.String("hostname")},
		User:        c.String("user"),
		Name:        c.String("name"),
		NoInit:      !c.Bool("init"),
		Share:       job.Share(c.String("share")),
		Interactive: c.Bool("interactive"),
		StopSignal:  c.String("stop-signal"),
		Command:     commandOf(c),
		RerunOf:     rerunOf(c),
	}
	for _, read := range []func(*cli.Context) error{
		into(&o.Fetch.Policy, pullPolicy),
		into(new(pull.Options), pullOptions), // a mistake is one whether or not there will be a pull
		into(new(ui.Style), progressStyle),   // likewise
		into(&o.MPI, mpiOption),
		into(&o.Keep, keptName),
		into(&o.Spec.Process, processOptions),
		into(&o.Spec.Filesystem, fileOptions),
		func(c *cli.Context) error { return addPlaces(c, &o.Spec.Process, &o.Spec.Filesystem) },
		into(&o.UserNS, userNamespace),
		func(c *cli.Context) (err error) {
			o.Spec.Security, o.Seccomp, err = securityOptions(c)
			return err
		},
		into(&o.Limits, limitOptions),
		into(&o.Network, networkOptions),
		into(&o.Devices, deviceOptions),
		into(&o.StopTimeout, func(c *cli.Context) (time.Duration, error) { return stopTimeout(c.String("stop-timeout")) }),
		into(&o.Watch, watchOptions),
		into(&o.Secrets, readSecrets),
		into(&o.Labels, labelOptions),
		func(c *cli.Context) error { return partingOptions(c, &o) },
	} {
		if err := read(c); err != nil {
			return job.Options{}, err
		}
	}
	return o, nil
}

// into puts what a reader of options has read in its place.
func into[T any](place *T, read func(*cli.Context) (T, error)) func(*cli.Context) error {
	return func(c *cli.Context) (err error) {
		*place, err = read(c)
		return err
	}
}

// stopTimeout reads a duration, or a number of seconds as docker has it.
func stopTimeout(text string) (time.Duration, error) {
	return grace(jobCommand, "--stop-timeout", text)
}

func grace(command, flag, text string) (time.Duration, error) {
	timeout, err := quantity.Span(text)
	if err != nil {
		return 0, usagef(command, "%s %q is %v", flag, text, err)
	}
	return timeout, nil
}

func pullPolicy(c *cli.Context) (catalog.Policy, error) {
	switch p := catalog.Policy(c.String("pull")); p {
	case catalog.PullMissing, catalog.PullAlways, catalog.PullNever:
		return p, nil
	}
	return "", usagef(jobCommand, "--pull is %s, %s or %s, not %q", catalog.PullMissing, catalog.PullAlways, catalog.PullNever, c.String("pull"))
}

func processOptions(c *cli.Context) (spec.Process, error) {
	p := spec.Process{Args: c.Args().Tail(), Workdir: c.String("workdir"), TTY: c.Bool("tty")}
	if c.IsSet("entrypoint") {
		entrypoint := c.String("entrypoint")
		p.Entrypoint = &entrypoint
	}
	given, err := environment(c)
	if err != nil {
		return p, err
	}
	p.Env, err = setEnvironment(c, given, func(text string) (string, error) { return env.Variable(text, os.LookupEnv) })
	return p, err
}

// environment are the variables of --env-file and --env, in this order.
func environment(c *cli.Context) (variables []string, err error) {
	for _, name := range line.Values(c, "env-file") {
		list, err := readEnvFile(name)
		if err != nil {
			return nil, fmt.Errorf("--env-file %s: %w", name, err)
		}
		variables = append(variables, list...)
	}
	for _, text := range line.Values(c, "env") {
		v, err := env.Variable(text, os.LookupEnv)
		if err != nil {
			return nil, err
		}
		if v != "" {
			variables = append(variables, v)
		}
	}
	return variables, nil
}

func readEnvFile(name string) ([]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return env.Read(file, os.LookupEnv)
}
