package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/transfer"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/runtime/container"
)

const cpDescription = `
One of the two is a path of a running container, RUN:PATH, in which RUN is an
id, a name or 'last'; volumes and what else is mounted for the job are there as
the job sees them. The paths are docker's: a directory is copied into one that
is there, or becomes it; SRC/. is what is in a directory; a link is copied as a
link, unless it ends with a slash or with -L. With - in place of the other path
a tar archive is written to standard output, or unpacked from standard input.
A local file with a colon in its name is ./NAME.

Modes, times, holes and user.* attributes of files are copied; devices, sockets
and what is in /proc and /sys are not. A file has its name when all of it is
there. What is copied to the host is yours, without set-id bits; in the
container it is root's, which is you, or with -a and --userns subuid those
users' whose numbers the files have. A link in the container leads nowhere
outside of it, and none in what is copied to the host is followed.

The files of a run that has ended went with it: what a job is to leave goes to a
volume.

Examples:
  coracle cp train:/out/model.pt .
  coracle cp ./config.json train:/work/
  coracle cp train:/var/log/. logs
  coracle cp train:/out - | tar t
`

func cpCommand() *cli.Command {
	return &cli.Command{
		Name:        "cp",
		Usage:       "Copy files into a running container or out of it",
		ArgsUsage:   "RUN:SRC DST|-  or  SRC|- RUN:DST",
		Description: cpDescription,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "archive", Aliases: []string{"a"}, Usage: "Keep the numbers of users and groups, where there are several"},
			&cli.BoolFlag{Name: "follow-link", Aliases: []string{"L"}, Usage: "Copy what a link SRC leads to"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "Do not say what was copied"},
		},
		Action: cpAction,
	}
}

func cpAction(c *cli.Context) error {
	if err := needArguments(c, "what is to be copied", 2); err != nil {
		return err
	}
	switch {
	case c.Args().First() == "":
		return usagef("cp", "what is to be copied is missing")
	case c.Args().Get(1) == "":
		return usagef("cp", "it is not said where to")
	}
	from, fromPath, out := containerPath(c.Args().Get(0))
	to, toPath, in := containerPath(c.Args().Get(1))
	switch {
	case out && in:
		return usagef("cp", "from one container to another there is no way but 'coracle cp A:SRC - | coracle cp - B:DST'")
	case !out && !in:
		return usagef("cp", "neither %s nor %s is RUN:PATH", fromPath, toPath)
	}
	ctx, stop := interruptible(c.Context)
	defer stop()
	cp := copying{c: c, follow: c.Bool("follow-link")}
	run := from
	if in {
		run = to
	}
	files, err := cp.open(ctx, run)
	if err != nil {
		return failing(c, err)
	}
	if out {
		err = cp.out(ctx, files, transfer.Want("/"+fromPath), toPath)
	} else {
		err = cp.in(ctx, files, fromPath, transfer.Want("/"+toPath))
	}
	if err = errors.Join(err, files.Close()); interrupted(ctx) != nil {
		err = interrupted(ctx)
	}
	if err == nil && !c.Bool("quiet") && toPath != "-" {
		printer(c).Note("Copied %s to %s", ui.Size(cp.bytes), c.Args().Get(1))
	}
	return failing(c, explained(err, run))
}

// copyError is a failure with what can be done about it, which is other than what a store would want.
type copyError struct {
	error
	hint string
}

func (e copyError) Unwrap() error { return e.error }
func (e copyError) Hint() string  { return e.hint }

// explained gives a failure to copy its hint.
func explained(err error, run string) error {
	for _, known := range []struct {
		of   error
		hint string
	}{
		{transfer.ErrKernel, "'coracle exec " + run + " cat FILE' shows what is in it now"},
		{transfer.ErrMounted, "stop the run, and start it with what is to be there"},
		{transfer.ErrDevice, "'coracle run --device' gives a job devices of the host"},
		{transfer.ErrItself, "choose a place outside of what is copied"},
		{unix.EROFS, "it is mounted read-only: a volume with :ro, or the job's root by --read-only; copy to another directory"},
		{fs.ErrPermission, "look at owner and mode of what is named, with 'ls -ld' on the host or 'coracle exec " + run + " ls -ld' in the container"},
	} {
		if errors.Is(err, known.of) {
			return copyError{err, known.hint}
		}
	}
	return err
}

// containerPath takes RUN:PATH apart, as docker does: what begins with a dot or a slash is local.
func containerPath(arg string) (run, path string, ok bool) {
	run, path, ok = strings.Cut(arg, ":")
	if !ok || run == "" || strings.ContainsAny(arg[:1], "./") {
		return "", arg, false
	}
	return run, path, true
}

// copying is one call of cp.
type copying struct {
	c      *cli.Context
	follow bool
	bytes  int64
}

// open finds the container of a run.
func (cp *copying) open(ctx context.Context, name string) (*job.Files, error) {
	runs, err := openRuns(cp.c)
	if err != nil {
		return nil, err
	}
	v, err := runs.Get(name)
	if err != nil {
		return nil, err
	}
	files, err := job.OpenFiles(ctx, v, func(text string) { printer(cp.c).Warn("%s", text) })
	if errors.Is(err, control.ErrOver) || errors.Is(err, container.ErrEnded) || v.State != record.Running {
		return nil, overError{name}
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", name, err)
	}
	return files, nil
}

// overError says that there is no container any more.
type overError struct{ run string }

func (e overError) Error() string {
	return fmt.Sprintf("run %s has ended, and what it wrote outside of volumes is gone", e.run)
}
func (overError) Hint() string { return "'coracle run -v NAME:/out' keeps what a job writes there" }

// out copies from the container.
func (cp *copying) out(ctx context.Context, files *job.Files, src transfer.Wanted, dst string) error {
	follow := cp.follow || src.Slash
	what, err := files.Look(src.Path, follow)
	if err != nil {
		return err
	}
	if err := src.Check(what); err != nil {
		return err
	}
	read := func(as string) func(io.Writer) error {
		return func(w io.Writer) error { return files.Read(ctx, src.Path, as, follow, w) }
	}
	if dst == "-" {
		if p := printer(cp.c); p.IsTerminal() {
			return usagef("cp", "an archive is not for a terminal: write it to a file or a pipe")
		}
		return read(src.Base())(printer(cp.c).Raw())
	}
	want, at, err := localPlace(dst, true)
	if err != nil {
		return err
	}
	dir, as, err := want.Into(at, src, what.Directory)
	if err != nil {
		return err
	}
	fd, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer fd.Close()
	spot, err := transfer.SpotOf(int(fd.Fd()), as)
	if err != nil {
		return err
	}
	files.Avoid = append(files.Avoid, spot)
	target := transfer.Target{
		Tree: transfer.Tree{FD: int(fd.Fd())}, Plain: true, Owner: cp.c.Bool("archive") && os.Geteuid() == 0, Notice: files.Notice, Content: &cp.bytes,
	}
	return transfer.Through(read(as), func(r io.Reader) error { return target.Read(ctx, r) })
}

// in copies into the container.
func (cp *copying) in(ctx context.Context, files *job.Files, src string, dst transfer.Wanted) error {
	at, err := files.Look(dst.Path, true)
	if err != nil {
		return err
	}
	write := func(dir string) func(io.Reader) error {
		return func(r io.Reader) error { return files.Write(ctx, dir, cp.c.Bool("archive"), r) }
	}
	if src == "-" {
		if !at.Directory {
			return fmt.Errorf("%s: an archive is unpacked in a directory: %w", dst.Path, unix.ENOTDIR)
		}
		return write(dst.Path)(counter{cp.c.App.Reader, &cp.bytes})
	}
	follow := cp.follow || transfer.Want(src).Slash
	want, what, err := localPlace(src, follow)
	if err == nil {
		err = want.Check(what)
	}
	if err != nil {
		return err
	}
	dir, as, err := dst.Into(at, want, what.Directory)
	if err != nil {
		return err
	}
	if above, err := files.Look(dir, true); err != nil || !above.Directory {
		return errors.Join(err, fmt.Errorf("%s: no such directory in the container: %w", dir, unix.ENOENT))
	}
	avoid, err := files.Spots(dir, as)
	if err != nil {
		return err
	}
	flags := unix.O_PATH | unix.O_CLOEXEC
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	fd, err := unix.Open(want.Path, flags, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: want.Path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written by it
	source := transfer.Source{
		Tree: transfer.Tree{FD: fd}, Path: want.Path, As: as, Avoid: avoid, Notice: files.Notice, Content: &cp.bytes,
	}
	return transfer.Through(func(w io.Writer) error { return source.Write(ctx, w) }, write(dir))
}

// localPlace is a path of the host, made absolute, and what is there.
func localPlace(text string, follow bool) (want transfer.Wanted, at transfer.Place, err error) {
	want = transfer.Want(text)
	if want.Path, err = filepath.Abs(want.Path); err != nil {
		return want, at, err
	}
	look := os.Lstat
	if follow {
		look = os.Stat
	}
	info, err := look(want.Path)
	if errors.Is(err, os.ErrNotExist) {
		return want, at, nil
	}
	if err != nil {
		return want, at, err
	}
	return want, transfer.Place{There: true, Directory: info.IsDir()}, nil // a link to a file is replaced: it may have been copied from a container
}

// counter counts what is read.
type counter struct {
	io.Reader
	n *int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// containerFilesCommand reads and writes the files of a container with several users. It is not for people: cp starts it in a
// user namespace with the same ids.
func containerFilesCommand() *cli.Command {
	return &cli.Command{
		Name:        job.FilesCommand,
		Usage:       "Read or write files of a container",
		ArgsUsage:   "ORDER",
		Description: "\n'coracle cp' starts it for containers with several users.\n\nExamples:\n  coracle cp train:/out .\n",
		Hidden:      true,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef(job.FilesCommand, "it takes one order")
			}
			if job.ServeFiles(c.Context, c.Args().First(), c.App.Reader, printer(c).Raw(), c.App.ErrWriter) != nil {
				return &job.ExitError{Code: failed} // it has been told
			}
			return nil
		},
	}
}
