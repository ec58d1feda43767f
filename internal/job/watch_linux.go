package job

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/metrics/training"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
)

// Watch says what of a job is watched beyond what it uses.
type Watch struct {
	Metrics []training.Rule // found in what the job prints
	Timeout time.Duration   // of the job; 0: none
	Codes   map[record.Cause]int

	Checkpoint supervise.Checkpoint
}

// code is what a run returns, which is not the job's own status where the user wants another one.
func (w Watch) code(cause record.Cause, code int) int {
	if wanted, ok := w.Codes[cause]; ok {
		return wanted
	}
	return code
}

// tailBytes is how much of a failed job's output is looked at.
const tailBytes = 64 << 10

// metricsVariable is the variable that tells a job which file it may write its metrics to.
const metricsVariable = "CORACLE_METRICS"

// metricsEnv is the variable with its value.
func (o Options) metricsEnv() string {
	if o.Share != "" {
		return metricsVariable + "=" + rankMetrics(o.id)
	}
	return metricsVariable + "=" + container.MetricsDir + "/" + training.FileName
}

// metricsMost is how large metrics.jsonl may become.
const metricsMost = 64 << 20

// metricsDir is the run's own place for the job's metrics, which goes with the writable layer.
func metricsDir(upper *store.Upper) string { return filepath.Join(upper.Dir(), "metrics") }

// makeMetricsDir makes it. Where the job has several users, all of them may write there; nobody else reaches it.
func (a *attempt) makeMetricsDir(upper *store.Upper) error {
	dir, mode := metricsDir(upper), os.FileMode(0o700)
	if err := fsx.Mkdir(dir, mode); err != nil {
		return fmt.Errorf("making a place for the job's metrics: %w", err)
	}
	if a.ids.IsZero() {
		return nil
	}
	return os.Chmod(dir, os.ModeSticky|0o777)
}

// listener hears what a job says of its training.
type listener struct {
	*training.Collector
	rules []training.Rule
	dir   string
}

// newListener is one for a job that will be started.
func (a *attempt) newListener(upper *store.Upper) *listener {
	series := a.writer.Series(record.MetricsFile, metricsMost)
	return &listener{
		Collector: training.NewCollector(series.Write, a.writer.Redact), rules: a.options.Watch.Metrics, dir: metricsDir(upper),
	}
}

// stream hears one stream of the job's output.
func (l *listener) stream() io.WriteCloser {
	return training.NewOutput(l.rules, func(p training.Point) { l.Take("output", p) }, l.Drop)
}

// started begins to look at the job's file.
func (l *listener) started(box *container.Container) error {
	file, err := training.OpenFile(l.dir)
	if err != nil {
		l.Follow(box.Started)
		return err
	}
	l.Follow(box.Started, file)
	return nil
}

// result puts what was heard into a job's result. All of the output has been read.
func (l *listener) result(r *record.Result) error {
	summary, err := l.Finish()
	if len(summary.Metrics) > 0 {
		r.Metrics = summary.Metrics
	}
	if len(summary.Dropped) > 0 {
		r.MetricsDropped = summary.Dropped
	}
	return err
}

// tellDropped says that not everything a job said is on record.
func tellDropped(notice func(string), dropped map[string]int64) {
	for _, why := range []training.Dropped{training.BadLine, training.LongLine, training.ManyNames, training.Full, training.BadFile, training.UnreadSize} {
		if n := dropped[string(why)]; n > 0 {
			notice(fmt.Sprintf("not all of the job's metrics are on record: %s %d ('coracle runs show' has all reasons)", why, n))
			return
		}
	}
}
