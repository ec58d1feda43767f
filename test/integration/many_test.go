package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestManyStarts: a hundred runs at once, and a thousand one after another, all succeed, and every record is complete, while gc finds
// nothing to remove beside them, over and over. Without torture it is a sample of them.
func TestManyStarts(t *testing.T) {
	b, ref := busybox(t)
	adopt(t)
	together, inTurn := 20, 40
	if tortured() {
		together, inTurn = 100, 1000
	}
	args := []string{"run", "--pull", "never", ref, "echo", "here"}
	collected := collecting(b)
	begin := time.Now()
	jobs := make([]*job, together)
	for i := range jobs {
		jobs[i] = b.start(args...)
	}
	for _, j := range jobs {
		if r := b.wait(j); r.code != 0 || r.stdout != "here\n" {
			t.Errorf("beside others: status %d, %q: %s", r.code, r.stdout, r.stderr)
		}
	}
	t.Logf("%d runs at once took %v", together, time.Since(begin))
	begin = time.Now()
	for range inTurn {
		if r := b.do(args...); r.code != 0 || r.stdout != "here\n" {
			t.Fatalf("alone: status %d, %q: %s", r.code, r.stdout, r.stderr)
		}
	}
	t.Logf("%d runs one after another took %v each", inTurn, time.Since(begin)/time.Duration(inTurn))
	if times := collected(); times == 0 {
		t.Error("gc was not run beside them")
	} else {
		t.Logf("gc was run %d times beside them", times)
	}
	if got := b.completeRecords([]string{"echo", "here"}); got != together+inTurn {
		t.Errorf("%d complete records of %d runs", got, together+inTurn)
	}
	nothingLeft(t, b)
}

// collecting runs gc over and over, until the function that it returns is called. It must remove nothing, for nobody dies.
func collecting(b *box) (stop func() (times int)) {
	b.t.Helper()
	stopped, ended := make(chan struct{}), make(chan int)
	go func() {
		times := 0
		defer func() { ended <- times }()
		for {
			select {
			case <-stopped:
				return
			default:
			}
			var got struct {
				Uppers, Temps, Retired []struct{ Name string }
				Records                []string
				Groups                 []string `json:"control_groups"`
				Scopes                 []string
			}
			out, err := b.command("gc", "--json").Output()
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			if n := len(got.Uppers) + len(got.Temps) + len(got.Retired) + len(got.Records) + len(got.Groups) + len(got.Scopes); err != nil || n > 0 {
				b.t.Errorf("gc beside runs that live: %v: %s", err, out)
				return
			}
			times++
		}
	}()
	return sync.OnceValue(func() int {
		close(stopped)
		return <-ended
	})
}

// completeRecords counts the records of runs of a command that succeeded, and fails the test for each that lacks anything.
func (b *box) completeRecords(argv []string) (complete int) {
	b.t.Helper()
	if records, dirs := len(b.records()), len(b.runIDs()); records != dirs {
		b.t.Errorf("%d records in %d directories", records, dirs)
	}
	for _, r := range b.records() {
		whole := r.State == "exited" && r.Cause == "exited" && r.ExitCode != nil && *r.ExitCode == 0 && slices.Equal(r.Argv, argv) &&
			r.Image.Digest != "" && !r.Started.IsZero() && !r.Finished.Before(r.Started) && r.Totals.CPUSeconds > 0 && r.Peaks.MemoryBytes > 0
		if !whole {
			b.t.Errorf("the record is not complete: %+v", r)
			continue
		}
		for _, name := range []string{"run.json", "result.json", "events.jsonl", "output.log"} {
			if info, err := os.Stat(filepath.Join(b.root, "runs", r.ID, name)); err != nil || info.Size() == 0 {
				b.t.Errorf("%s of a complete record: %v", name, err)
				whole = false
			}
		}
		if whole {
			complete++
		}
	}
	return complete
}
