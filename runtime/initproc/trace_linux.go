package initproc

import (
	"io"
	"strconv"
	"strings"

	"github.com/opencontainers/runc/libcontainer"
	"github.com/sirupsen/logrus"

	"github.com/coracle-run/coracle/internal/trace"
)

// watchLibcontainer turns what libcontainer logs, its later stages with it, into marks, when somebody wants marks.
func watchLibcontainer(process *libcontainer.Process) {
	if !trace.On() {
		return
	}
	logrus.SetLevel(logrus.DebugLevel)
	logrus.SetOutput(io.Discard)
	logrus.AddHook(marker{})
	process.LogLevel = strconv.Itoa(int(logrus.DebugLevel))
}

// marker is the log's reader.
type marker struct{}

// Levels implements logrus.Hook.
func (marker) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (marker) Fire(e *logrus.Entry) error {
	trace.Mark(trace.Init, strings.Join(strings.Fields("libcontainer: "+e.Message), " "))
	return nil
}
