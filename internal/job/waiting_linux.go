package job

import (
	"context"
	"fmt"
	"time"

	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/supervise"
)

// briefly is how long a job waits for its next start at most if commands wait with it, as for a job that has just begun (control.Dial).
const briefly = 2 * time.Second

// answerWaiting tells commands that come while a job waits for its next start. The function that it returns ends that.
func (t *trial) answerWaiting(delay time.Duration) (end func() error) {
	if delay <= briefly {
		return func() error { return nil }
	}
	next := time.Now().Add(delay)
	refuse := func(context.Context, *control.Call) error {
		return fmt.Errorf("%w, in %s", ErrRests, time.Until(next).Round(time.Second))
	}
	table := control.Table{Kind: kindOf, Operations: map[string]control.Operation{
		OpExec: refuse, supervise.OpPause: refuse, supervise.OpUnpause: refuse, opContainer: refuse,
		OpAttach: func(ctx context.Context, call *control.Call) error {
			var r AttachRequest
			if err := call.Args(&r); err != nil {
				return err
			}
			if r.Again {
				<-ctx.Done()
			}
			return refuse(ctx, call)
		},
	}}
	server, err := control.Serve(t.upper.Dir(), table)
	if err != nil {
		t.Notice("commands like 'coracle exec' will not be told that the job waits: " + err.Error())
		return func() error { return nil }
	}
	return server.Close
}
