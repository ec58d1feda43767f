package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
)

// opContainer is the operation that replies with a Live.
const opContainer = "container"

// operations are what a job's supervisor does for commands (internal/control).
func (a *attempt) operations(job *supervise.Supervision) control.Table {
	e := &execs{job: job, env: a.spec.Process.Env}
	return control.Table{
		Kind: kindOf,
		Operations: map[string]control.Operation{
			OpExec:              e.serve,
			supervise.OpPause:   job.Pause.Begin,
			supervise.OpUnpause: job.Pause.End,
			opContainer: func(_ context.Context, call *control.Call) error {
				return call.Reply(Live{Keeper: job.Box.Pid(), Init: job.Box.Init()})
			},
			OpAttach: func(ctx context.Context, call *control.Call) error {
				done, err := job.Pause.Moving()
				if err != nil {
					return err
				}
				done() // asked only to refuse a paused job
				return a.attach(ctx, call)
			},
		},
	}
}

// Live is what is known of a container only as long as it runs.
type Live struct {
	// Keeper is the process that every process of the container comes from, in the supervisor's pid namespace: root of the
	// container's user namespace, outside of its other ones.
	Keeper int `json:"keeper"`
	// Init is the number inside of the container's init. Where that is not 1, the container is shared, and what does not come from it is
	// of other runs.
	Init int `json:"init"`
}

// kinds are errors that a command tells apart, by their names on the wire. Of one that is several, the first counts.
var kinds = []struct {
	name string
	of   error
}{
	{"ended", container.ErrEnded},
	{"not-found", container.ErrNotFound},
	{"not-executable", container.ErrNotExecutable},
	{"user", container.ErrUser},
	{"paused", supervise.ErrPaused},
	{"not-paused", supervise.ErrNotPaused},
	{"rests", ErrRests},
	{"over", control.ErrOver},
	{"exec", container.ErrExec},
}

func kindOf(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.of) {
			return k.name
		}
	}
	return ""
}

// Remote is an error of a supervisor's, which is here what it was there.
func Remote(err error) error {
	e, ok := errors.AsType[*control.Error](err)
	if !ok {
		return err
	}
	for _, k := range kinds {
		if k.name == e.Kind {
			return &remoteError{e.Message, k.of}
		}
	}
	return err
}

type remoteError struct {
	message string
	of      error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.of }

// serveAfter is how long a job runs before commands are heard. It costs half a millisecond, which a short one is spared; who comes earlier
// waits that long (control.Dial). A job that is started again serves those at once who have heard it before: it may be a short one.
const serveAfter = 20 * time.Millisecond

// serve has commands heard, beside the job. The function that it returns ends that.
func (a *attempt) serve(job *supervise.Supervision, upper *store.Upper) (end func() error) {
	began := make(chan *control.Server, 1)
	go func() {
		if !a.joint.others.awaits() {
			select {
			case <-job.Box.Ended():
				began <- nil
				return
			case <-time.After(serveAfter):
			}
		}
		server, err := control.Serve(upper.Dir(), a.operations(job))
		began <- server
		if err != nil {
			a.Notice("commands like 'coracle exec' will not reach this run: " + err.Error())
		}
	}()
	return func() error {
		server := <-began
		if server == nil {
			return nil
		}
		a.joint.others.gather(lastWords)
		return server.Close()
	}
}

// Dial connects to the supervisor of a run. The errors are those of [control.Dial], of which ErrOver says more here.
func Dial(ctx context.Context, v record.View) (*control.Conn, error) {
	if v.State != record.Running {
		return nil, control.ErrOver
	}
	if v.Control == "" {
		return nil, fmt.Errorf("%w: it was started by an older Coracle, which takes no commands", control.ErrNotYet)
	}
	return control.Dial(ctx, control.Peer{Owner: v.Supervisor, Dir: v.Control})
}

// Ask has the supervisor of a run do one thing.
func Ask(ctx context.Context, v record.View, operation string, args, result any) error {
	conn, err := Dial(ctx, v)
	if err != nil {
		return err
	}
	files, err := conn.Call(ctx, operation, args, result)
	control.CloseAll(files)
	return errors.Join(Remote(err), conn.Close())
}

// Container asks for what is known of a running container.
func Container(ctx context.Context, v record.View) (live Live, err error) {
	err = Ask(ctx, v, opContainer, nil, &live)
	return live, err
}
