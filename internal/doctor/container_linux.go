package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
)

// namespaces makes them.
func (p *patient) namespaces(context.Context) []Finding {
	prepared := container.Prepare(host.IDMap{})
	_, err := prepared.Pid()
	err = errors.Join(err, prepared.Close())
	if err != nil {
		return []Finding{p.advice(failure(err.Error(), ""), err)}
	}
	return []Finding{ok("can be made, with those of mounts, processes and the others of a container")}
}

// container runs one.
func (p *patient) container(ctx context.Context) []Finding {
	t, err := wait(ctx, p.plain)
	switch {
	case err != nil:
		return []Finding{failure("a container: "+err.Error(), "a run would wait for it, too")}
	case errors.Is(t.err, errNoPlace):
		return []Finding{failure("there is no place to try one: see layers", "").by(You, first("layers"))}
	case t.err != nil:
		return []Finding{p.advice(failure("could not be tried: "+t.err.Error(), ""), t.err)}
	case t.Namespaces != nil:
		return []Finding{failure("there are no namespaces for one: see user-namespaces", "").by(You, first("user-namespaces"))}
	case t.Container != nil:
		return []Finding{p.advice(failure(t.Container.Error(), ""), t.Container)}
	}
	return []Finding{ok(fmt.Sprintf("one ran, confined as jobs are, in %d ms", t.Took.Round(time.Millisecond).Milliseconds()))}
}

// overlay tells how the root of that container was made.
func (p *patient) overlay(ctx context.Context) []Finding {
	t, err := wait(ctx, p.plain)
	if err != nil || t.err != nil || t.Namespaces != nil || t.Container != nil {
		return []Finding{note("not known: no container ran", "").by(You, first("container"))}
	}
	switch t.Made.Way {
	case rootfs.Fuse:
		return []Finding{warning("fuse-overlayfs makes containers' files, since the kernel's overlay does not: "+t.Made.Why, "a job's files are read and written more slowly").
			by(You, localDisk)}
	case rootfs.Copy:
		return []Finding{warning("images are copied at each start: "+t.Made.Why, "a start takes as long as copying the whole image, and as much space").
			by(You, localDisk+"; or ask the administrator for the package fuse-overlayfs, with /dev/fuse open to you (chmod 0666 /dev/fuse)")}
	}
	return []Finding{ok("the kernel's overlay file system works for you, on the disk of the layers")}
}

const localDisk = "keep layers on a local disk (ext4, XFS, btrfs) with --layers DIR or CORACLE_LAYERS"

// subordinate runs a container with the image's users in it.
func (p *patient) subordinate(ctx context.Context) []Finding {
	ids, err := host.SubordinateIDs()
	if err != nil {
		return []Finding{p.advice(note(err.Error(), ""), err)}
	}
	t, err := wait(ctx, func() trial { return p.try("subuid", job.TryOptions{UserNS: job.SubUID}) })
	switch {
	case err != nil:
		return []Finding{note("you have some; not known whether a container can have them: "+err.Error(), "")}
	case t.err != nil:
		return []Finding{note("you have some; not known whether a container can have them: none could be tried", "").by(You, first("container"))}
	}
	if err := errors.Join(t.Namespaces, t.Container); err != nil {
		return []Finding{p.advice(warning("you have some, and a container with them fails: "+err.Error(), ""), err)}
	}
	return []Finding{ok(fmt.Sprintf("a container ran with %d users and %d groups of its own", host.Span(ids.UIDs), host.Span(ids.GIDs)))}
}

// network runs a container with a network of its own.
func (p *patient) network(ctx context.Context) []Finding {
	plan, err := network.Plan()
	if err != nil {
		return []Finding{p.advice(note(err.Error(), ""), err)}
	}
	t, err := wait(ctx, p.privateNetwork)
	switch {
	case err != nil:
		return []Finding{note("not known: "+err.Error(), "")}
	case t.err != nil:
		return []Finding{note("not known: no container could be tried", "").by(You, first("container"))}
	case t.Namespaces != nil:
		return []Finding{note("not known: there are no namespaces", "").by(You, first("user-namespaces"))}
	case t.Container != nil && !errors.Is(t.Container, container.ErrNetwork):
		return []Finding{note("not known: no container ran", "").by(You, first("container"))}
	case t.Container != nil:
		return []Finding{p.advice(warning(t.Container.Error(), ""), t.Container)}
	}
	return []Finding{ok(fmt.Sprintf("a container ran with a network of its own, by %s", plan.Helper.Path))}
}
