package cgroup

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// freezeFile is there from Linux 5.2 on, in every group of v2 but the root (cgroup-v2.rst).
const freezeFile = "/cgroup.freeze"

// Freezes reports whether the job's group can be frozen as a whole. One of v1 never can: what is frozen there does not even die, and
// would stay behind a killed supervisor.
func (g *Group) Freezes() bool {
	if g == nil || g.unified == "" {
		return false
	}
	_, err := os.Stat(g.unified + freezeFile)
	return err == nil
}

// Freeze has the kernel stop everything in the group, and waits until that is so.
func (g *Group) Freeze(ctx context.Context) error {
	if err := g.kernel.write(g.unified+freezeFile, "1"); err != nil {
		return fmt.Errorf("freezing the job: %w", err)
	}
	for {
		for line := range strings.Lines(read(g.unified + "/cgroup.events")) {
			if strings.TrimSpace(line) == "frozen 1" {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("freezing the job: %w", context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// Thaw lets it go on.
func (g *Group) Thaw() error {
	if err := g.kernel.write(g.unified+freezeFile, "0"); err != nil {
		return fmt.Errorf("thawing the job: %w", err)
	}
	return nil
}
