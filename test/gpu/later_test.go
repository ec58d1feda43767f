package gpu_test

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// waiting is a job on GPUs that does something and runs until its standard input ends, once it has said that it is up.
func (b *box) waiting(ref, selection, does string) (j *job, end func() result) {
	b.t.Helper()
	j = b.prepare("run", "-q", "-i", "--gpus", selection, ref, "sh", "-c", does+"\necho up; cat; echo over")
	j.Stdout = nil
	hold, err := j.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	said, err := j.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := j.Start(); err != nil {
		b.t.Fatal(err)
	}
	reader := bufio.NewReader(said)
	if line, err := reader.ReadString('\n'); err != nil || line != "up\n" {
		b.t.Fatalf("the job says %q, %v: %s", line, err, &j.stderr)
	}
	return j, func() result {
		b.t.Helper()
		if err := hold.Close(); err != nil {
			b.t.Error(err)
		}
		rest, err := io.ReadAll(reader)
		if err != nil {
			b.t.Error(err)
		}
		j.stdout.Write(rest)
		return b.wait(j)
	}
}

// TestHelperFailsLater: a job goes on without numbers of its GPUs, and the record says so.
func TestHelperFailsLater(t *testing.T) {
	t.Parallel() // it waits most of its time
	b, ref := impatient(t)
	for name, line := range map[string]string{
		"hangs":   "hang nvmlDeviceGetUtilizationRates",
		"crashes": "crash nvmlDeviceGetUtilizationRates",
	} {
		t.Run(name, func(t *testing.T) {
			inner := b.of(t)
			say(t, b.m)
			_, end := inner.waiting(ref, "all", "")
			say(t, b.m, line)
			inner.awaitEvent("gpu-metrics-lost")
			r := end()
			if r.code != 0 || !strings.Contains(r.stdout, "over") {
				t.Errorf("status %d: %s%s", r.code, r.stdout, r.stderr)
			}
			var record struct {
				Error string `json:"gpu_error"`
			}
			inner.last(&record)
			if record.Error == "" || !strings.Contains(r.stderr, "GPU") {
				t.Errorf("it is not said that the GPUs are not measured any more: %q, %s", record.Error, r.stderr)
			}
		})
	}
}

// awaitEvent waits for a line of the newest run's events.
func (b *box) awaitEvent(kind string) {
	b.t.Helper()
	b.eventually("no event "+kind, func() bool {
		runs, err := filepath.Glob(filepath.Join(b.root, "runs", "*", "events.jsonl"))
		if err != nil || len(runs) == 0 {
			b.t.Fatalf("no run: %v", err)
		}
		raw, err := os.ReadFile(runs[len(runs)-1])
		if err != nil {
			b.t.Fatal(err)
		}
		return strings.Contains(string(raw), `"`+kind+`"`)
	})
}

// eventually waits for what has to be so within a minute.
func (b *box) eventually(otherwise string, so func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s within a minute", otherwise)
		}
	}
}
