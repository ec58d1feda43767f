package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/sysfs"
)

// Options of Examine. The zero value examines this node, and asks Docker Hub.
type Options struct {
	Image    *catalog.Name // that is to run here; nil: none in particular
	Asked    string        // how the user wrote it
	Platform string        // of the image; "": this machine's
	Offline  bool          // nothing is asked of the network

	Store  func() (*location.Trial, error)               // finds the store, as location.Try
	Client func(note func(text string)) *registry.Client // asks registries

	Permit func(catalog.Name) error // fails when the site's policy forbids an image

	GPU      gpu.Place
	GPUFiles sysfs.Tree

	Environ []string // the caller's environment

	// Advise is the next step after an error of a run's; "" where nothing is known.
	Advise func(error) string
}

// How long checks may take. A busy node starts a container slowly, and its systemd is waited for (cgroup); a driver that is asleep needs a
// while; a network may be far away.
const (
	localPatience   = 30 * time.Second
	networkPatience = 15 * time.Second
	driverPatience  = 60 * time.Second
)

// check is one thing that is looked at.
type check struct {
	name     string
	why      string // what runs need it for
	patience time.Duration
	find     func(ctx context.Context) []Finding
}

// Examine looks at everything. It fails when ctx ends.
func Examine(ctx context.Context, o Options) (Report, error) {
	name, err := os.Hostname()
	if err != nil {
		return Report{}, fmt.Errorf("reading the host's name: %w", err)
	}
	p := newPatient(o)
	report := Report{Node: name, Image: o.Asked, Worst: OK}
	for _, found := range p.run(ctx, p.checks()) {
		for _, f := range found {
			report.Worst = worse(report.Worst, f.State)
			report.Checks = append(report.Checks, f)
		}
	}
	return report, errors.Join(context.Cause(ctx), p.undo())
}

// run has all checks go side by side, and returns what they found in their order.
func (p *patient) run(ctx context.Context, checks []check) [][]Finding {
	found := make([][]Finding, len(checks))
	var group sync.WaitGroup
	for i, c := range checks {
		group.Go(func() { found[i] = c.within(ctx) })
	}
	group.Wait()
	return found
}

// lastWord is how long a check whose deadline is over may take to say what it has found. Tests have more or less.
var lastWord = time.Second

// within runs a check with its deadline. One that hangs in the kernel is left alone: it ends with the process.
func (c check) within(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, fmt.Errorf("there was no answer within %s", c.patience))
	defer cancel()
	answer := make(chan []Finding, 1)
	go func() { answer <- c.find(ctx) }()
	var found []Finding
	select {
	case found = <-answer:
	case <-ctx.Done():
		select {
		case found = <-answer:
		case <-time.After(lastWord): // it may have ended by itself, and say more
			found = []Finding{failure(context.Cause(ctx).Error(), "a run would wait for it, too")}
		}
	}
	for i := range found {
		found[i].Check = c.name
		if found[i].Why == "" {
			found[i].Why = c.why
		}
		if found[i].State != OK && found[i].Fix == "" {
			found[i] = found[i].by(You, again)
		}
	}
	return found
}

// patient is the node that is being examined. What several checks need is found out once, by the one that comes first.
type patient struct {
	Options
	facts func() (host.Facts, error)
	place func() place
	plain func() trial // a container as most jobs have it
	undo  func() error

	reached func() reach
	gpus    func() gpuList
	image   func() found
}
