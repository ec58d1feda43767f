package cause

import (
	"fmt"
	"path"
	"strings"

	"github.com/coracle-run/coracle/internal/sched"
)

// stepOutOfMemory: a process of the batch job that this is a part of was ended because the job, or its step, had no more memory. There a
// job's end with an error probably comes of that, whoever of it was ended.
func (e Evidence) stepOutOfMemory() bool {
	return e.OOM.Enclosing > 0 && e.OOM.EnclosingMet && sched.Group(e.OOM.EnclosingGroup) != ""
}

// aroundText is what a control group around the job has to do with its end.
func (e Evidence) aroundText() string {
	text := "Probably killed for want of memory: "
	if !e.killed() {
		text = "Probably for want of memory: "
	}
	switch {
	case e.OOM.EnclosingMet:
		text += fmt.Sprintf("the limit of the enclosing %s, %s, was met, and the kernel ended a process in it", aroundName(e.OOM.EnclosingGroup), size(e.OOM.EnclosingLimit))
	case e.OOM.EnclosingLimit > 0:
		text += "the kernel ended a process of the control group that the job ran in, whose limit is " + size(e.OOM.EnclosingLimit)
	default:
		text += "the kernel ended a process of the control group that the job ran in"
	}
	if !e.killed() {
		text += fmt.Sprintf("; the job then ended with status %d", e.Exit.Code)
	}
	return text + ". The job's peak was " + size(float64(e.Peaks.MemoryBytes)) + "."
}

// aroundName is what people call a control group.
func aroundName(group string) string {
	if name := sched.Group(group); name != "" {
		return name
	}
	return "control group " + path.Base(group)
}

func aroundAdvice(group string) string {
	if strings.HasPrefix(sched.Group(group), "Slurm") {
		return "Ask Slurm for more memory (--mem, --mem-per-cpu), or use a smaller batch or fewer workers."
	}
	return "Ask the batch system for more memory, or use a smaller batch or fewer workers."
}
