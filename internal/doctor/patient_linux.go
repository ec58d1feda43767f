package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/runtime/cgroup"
	"github.com/coracle-run/coracle/runtime/network"
)

// place is where the store is, and a corner of it for trials.
type place struct {
	*location.Trial
	err error
}

// trial is what came of a container.
type trial struct {
	job.Tried
	err error // of the trial itself: nothing is known
}

func newPatient(o Options) *patient {
	p := &patient{Options: o}
	p.facts = sync.OnceValues(host.Read)
	p.place = sync.OnceValue(func() place {
		t, err := o.Store()
		return place{t, err}
	})
	p.plain = sync.OnceValue(func() trial { return p.try("plain", job.TryOptions{Limits: everyLimit()}) })
	p.reached = sync.OnceValue(p.ask)
	p.gpus = sync.OnceValue(p.listGPUs)
	p.image = sync.OnceValue(p.findImage)
	p.undo = func() error { return p.place().Close() }
	return p
}

// errNoPlace is of a trial for which there is no directory; the check of layers tells why.
var errNoPlace = errors.New("there is no place for a trial")

// try runs a container in a directory of its own.
func (p *patient) try(name string, o job.TryOptions) trial {
	at := p.place()
	if at.Dir == "" {
		return trial{err: fmt.Errorf("%w: %w", errNoPlace, at.err)}
	}
	o.Dir, o.Environ = filepath.Join(at.Dir, name), p.Environ
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		return trial{err: err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), localPatience)
	defer cancel()
	tried, err := job.Try(ctx, o)
	return trial{tried, err}
}

// everyLimit is one of each kind that holds nobody back.
func everyLimit() cgroup.Limits {
	const memory = 1 << 40
	return cgroup.Limits{NanoCPUs: int64(runtime.NumCPU()) * 1e9, MemoryBytes: memory, Pids: cgroup.DefaultPids}
}

// checks are all that apply, in the order in which they are told: what everything else needs comes first.
func (p *patient) checks() []check {
	list := []check{
		{"kernel", "Coracle uses what Linux 5.11 and later have", localPatience, p.kernel},
		{"user-namespaces", "without them nobody but root can make a container", localPatience, p.namespaces},
		{"container", "it is what every job runs in", localPatience, p.container},
		{"layers", "images' layers are kept there, and what jobs write", localPatience, p.layers},
		{"overlay", "by it a container starts at once, however large its image is", localPatience, p.overlay},
		{"subordinate-ids", "'run --userns subuid' takes them, for images with several users", localPatience, p.subordinate},
		{"cgroups", "by them jobs are held to --memory, --cpus and the like, and measured", localPatience, p.cgroups},
		{"network", "'run --network private' and -p take a helper", localPatience, p.network},
		{"shm", "PyTorch's data loaders hand batches on by /dev/shm", localPatience, p.shm},
		{"memlock", "memory that network cards read by themselves is locked", localPatience, p.memlock},
		{"open-files", "data loaders and jobs of many ranks open many", localPatience, p.files},
		{"processes", "libraries for numbers start a thread for each CPU", localPatience, p.processes},
		{"runtime-dir", "services of the user's own are reached by it", localPatience, p.runtimeDir},
		{"login", "'run -d' starts jobs that are to go on by themselves", localPatience, p.login},
		{"batch", "a job has what its scheduler gives, and no more", localPatience, p.batch},
		{"seccomp", "by it jobs are kept from what none of them needs of the kernel", localPatience, p.filters},
		{"clock", clockWhy, networkPatience, p.clock},
		{"gpu", "'run --gpus' gives them to jobs", driverPatience, p.gpu},
	}
	if archive := p.Image != nil && p.Image.IsArchive(); !p.Offline && !archive {
		list = append(list, check{"registry", registryWhy, networkPatience, p.registry})
	}
	if p.Image != nil {
		list = append(list, []check{
			{"image", imageWhy, networkPatience, p.examineImage},
			{"space", "a run that finds no room for its image fails", networkPatience, p.space},
			{"cuda", "programs for a newer CUDA than the driver's fail", driverPatience, p.cuda},
		}...)
	}
	return list
}

// wait returns what f does, or an error when ctx ends before.
func wait[T any](ctx context.Context, f func() T) (v T, err error) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case v = <-done:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}

// advice adds what to do about an error.
func (p *patient) advice(f Finding, err error) Finding {
	if p.Advise == nil {
		return f
	}
	return f.advised(p.Advise(err))
}

// administrator is how hints begin that are for somebody else.
const administrator = "ask the administrator "

// advised takes a hint of a run's for the fix, and says who it is for.
func (f Finding) advised(hint string) Finding {
	if hint == "" {
		return f
	}
	f.Who, f.Fix = You, hint
	if rest, ok := strings.CutPrefix(hint, administrator); ok {
		f.Who, f.Fix = Administrator, rest
		for _, lead := range []string{"for: ", "for ", "to "} {
			f.Fix = strings.TrimPrefix(f.Fix, lead)
		}
	} else if strings.Contains(hint, "the administrator") {
		f.Who = Administrator
	}
	return f
}

// privateNetwork is a container with a network of its own.
func (p *patient) privateNetwork() trial {
	return p.try("network", job.TryOptions{Network: network.Private})
}
