package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sys"
	"github.com/coracle-run/coracle/internal/transfer"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/idmap"
)

// Files are those of a running container, as its first process sees them: the image's, the job's, and what is mounted for it.
type Files struct {
	root   *os.File
	ids    host.IDMap // of a container with several users, whose files another process has to read and write
	Notice func(string)
	Avoid  []transfer.Spot // is not read

	control string // the directory of the run's writable layer
}

// OpenFiles opens them. The errors are those of Dial, and ErrEnded.
func OpenFiles(ctx context.Context, v record.View, notice func(string)) (*Files, error) {
	live, err := Container(ctx, v)
	if err != nil {
		return nil, err
	}
	fd, err := container.OpenRoot(live.Keeper, v.Supervisor.PID)
	if err != nil {
		return nil, err
	}
	f := &Files{root: os.NewFile(uintptr(fd), "root"), Notice: notice, control: v.Control}
	if v.IDMap != nil {
		f.ids = host.IDMap{UIDs: hostRanges(v.IDMap.UIDs), GIDs: hostRanges(v.IDMap.GIDs)}
	}
	return f, nil
}

func hostRanges(ranges []record.IDRange) (list []host.IDRange) {
	for _, r := range ranges {
		list = append(list, host.IDRange(r))
	}
	return list
}

// Close lets go of them.
func (f *Files) Close() error { return f.root.Close() }

// Spots are what a copy from the host into a directory of the container would go on for ever with: that directory, where it is mounted from
// the host, and the run's writable layer.
func (f *Files) Spots(dir, name string) (spots []transfer.Spot, err error) {
	fd, err := sys.OpenInRoot(int(f.root.Fd()), dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err == nil {
		var spot transfer.Spot
		spot, err = transfer.SpotOf(fd, name)
		spots, err = append(spots, spot), errors.Join(err, sys.Close(fd))
	}
	if errors.Is(err, fs.ErrPermission) { // of another of the container's users, who has nothing on the host that the caller could read
		err = nil
	}
	if err != nil || f.control == "" {
		return spots, err
	}
	layer, err := sys.OpenDir(f.control)
	if errors.Is(err, fs.ErrNotExist) {
		return spots, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.Close(layer)) }()
	spot, err := transfer.SpotOf(layer, "")
	return append(spots, spot), err
}

func (f *Files) tree() transfer.Tree { return transfer.Tree{FD: int(f.root.Fd()), Root: true} }

// Look finds out what is at a path. What only others of the container's users may see is not there.
func (f *Files) Look(path string, follow bool) (transfer.Place, error) {
	if f.ids.IsZero() {
		return f.tree().Look(path, follow)
	}
	var out bytes.Buffer
	var place transfer.Place
	err := f.work(context.Background(), filesOrder{Look: path, Follow: follow}, nil, &out)
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &place)
	}
	return place, err
}

// Read writes a stream of what is at a path, by the name as.
func (f *Files) Read(ctx context.Context, path, as string, follow bool, out io.Writer) error {
	if f.ids.IsZero() {
		return transfer.Source{Tree: f.tree(), Path: path, As: as, Follow: follow, OneUser: true, Avoid: f.Avoid, Notice: f.Notice}.Write(ctx, out)
	}
	return f.work(ctx, filesOrder{Read: path, As: as, Follow: follow, Avoid: f.Avoid}, nil, out)
}

// Write unpacks a stream in a directory. Files are given to the owners that the stream names, if that is wanted and there are several
// users; else they are root's.
func (f *Files) Write(ctx context.Context, dir string, owners bool, in io.Reader) error {
	if f.ids.IsZero() {
		return transfer.Target{Tree: f.tree(), Dir: dir, Notice: f.Notice}.Read(ctx, in)
	}
	return f.work(ctx, filesOrder{Write: dir, Owners: owners}, in, nil)
}

// filesOrder is what a process in the user namespace of a container's files is to do. One of Look, Read and Write is set.
type filesOrder struct {
	Look, Read, Write string `json:",omitempty"`
	As                string `json:",omitempty"`
	Follow, Owners    bool   `json:",omitempty"`

	Avoid []transfer.Spot `json:",omitempty"`
}

// said is a line of such a process's standard error.
type said struct {
	Notice string `json:",omitempty"`
	Failed string `json:",omitempty"`
}

// FilesCommand is the name of the command that such a process is.
const FilesCommand = "container-files"

// rootFD is where it has the root directory.
const rootFD = 3

// work has a process do it that is root of the container's users, and nothing else of the container's.
func (f *Files) work(ctx context.Context, o filesOrder, in io.Reader, out io.Writer) (err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", FilesCommand, string(text))
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = in, out, &errs, []*os.File{f.root}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	gate, err := idmap.NewGate(cmd, f.ids)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := gate.Open(cmd.Process.Pid); err != nil {
		stop()
		return errors.Join(err, ignoreExit(cmd.Wait()))
	}
	err = cmd.Wait()
	for line := range bytes.Lines(errs.Bytes()) {
		var s said
		switch parse := json.Unmarshal(line, &s); {
		case parse != nil:
			err = errors.Join(err, errors.New(string(bytes.TrimSpace(line))))
		case s.Failed != "":
			err = errors.New(s.Failed) // and its status says no more
		default:
			f.Notice(s.Notice)
		}
	}
	return err
}

// ignoreExit is the error of a process that was waited for, unless it is only how that has ended.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// ServeFiles is the life of a process of work.
func ServeFiles(ctx context.Context, order string, in io.Reader, out, errs io.Writer) error {
	tell := json.NewEncoder(errs)
	err := serveFiles(ctx, order, in, out, func(text string) { _ = tell.Encode(said{Notice: text}) }) // nobody is left to tell
	if err != nil {
		return errors.Join(err, tell.Encode(said{Failed: err.Error()}))
	}
	return nil
}

func serveFiles(ctx context.Context, order string, in io.Reader, out io.Writer, notice func(string)) error {
	var o filesOrder
	if err := json.Unmarshal([]byte(order), &o); err != nil {
		return fmt.Errorf("reading an order: %w", err)
	}
	tree := transfer.Tree{FD: rootFD, Root: true}
	switch {
	case o.Look != "":
		place, err := tree.Look(o.Look, o.Follow)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(place)
	case o.Read != "":
		return transfer.Source{Tree: tree, Path: o.Read, As: o.As, Follow: o.Follow, Avoid: o.Avoid, Notice: notice}.Write(ctx, out)
	case o.Write != "":
		return transfer.Target{Tree: tree, Dir: o.Write, Owner: o.Owners, Notice: notice}.Read(ctx, in)
	}
	return errors.New("reading an order: it is empty")
}
