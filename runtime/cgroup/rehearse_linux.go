package cgroup

import (
	"context"
	"errors"
)

// Rehearse is the plan that Arrange would make and go by, as far as that can be found out without leaving anything: a scope is asked for
// with a process in it, and given back; where groups could be made otherwise, the right to do so is looked at.
func (h Host) Rehearse(ctx context.Context, l Limits, job Job) (p Plan, err error) {
	if asked(l.wants()) {
		h.learn(ctx)
	}
	var made Unit
	job.Foresee = func(u Unit) error {
		made = u
		return nil
	}
	vain := map[Way]string{}
	for {
		g := &Group{Plan: h.Decide(l, vain), kernel: h.kernel}
		if g.Way != Scope {
			return g.Plan, err
		}
		refused := g.prepare(ctx, h, job)
		if made.Name != "" {
			err = errors.Join(err, StopScope(context.WithoutCancel(ctx), made))
		}
		if refused == nil {
			return g.Plan, err
		}
		vain[Scope] = refused.Error()
	}
}
