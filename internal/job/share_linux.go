package job

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coracle-run/coracle/internal/fsx"
	"github.com/coracle-run/coracle/internal/metrics/training"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/sched"
	"github.com/coracle-run/coracle/internal/secret"
	"github.com/coracle-run/coracle/internal/socket"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// Share says with whom a run shares its container; "": with nobody.
type Share string

// ShareNode is the value of --share: with the ranks that the same launcher has started with it on this node.
const ShareNode Share = "node"

// shared is a run's part in a container that several share.
type shared struct {
	*container.Shared
	upper string // the id of the container's writable layer
	made  bool   // by this run
}

// checkShare refuses what is one rank's alone.
func (r *Runner) checkShare(o *Options) error {
	if o.Share == "" {
		return nil
	}
	refuse := func(what string) error {
		return fmt.Errorf("%w: --share %s with %s: that would be for one rank alone", spec.ErrOption, o.Share, what)
	}
	capabilities, err := spec.Capabilities(nil, o.Spec.AddCapabilities, o.Spec.DropCapabilities)
	switch {
	case o.Share != ShareNode:
		return fmt.Errorf("%w: --share is %s, not %q", spec.ErrOption, ShareNode, o.Share)
	case err != nil:
		return err
	case sched.Step(r.Environ) == "":
		return r.noStep(o.Share)
	case o.Spec.TTY:
		return refuse("--tty")
	case o.NoInit:
		return refuse("--init=false")
	case o.Network.Mode == network.Private:
		return refuse("--network private")
	case slices.Contains(capabilities, "CAP_SYS_ADMIN"):
		return refuse("--cap-add SYS_ADMIN")
	case o.UserNS == SubUID:
		return refuse("--userns subuid")
	}
	return nil
}

// noStep says what a run needs to find others.
func (r *Runner) noStep(s Share) error {
	launchers := strings.Join(sched.SteppingLaunchers(), ", ")
	if launcher := sched.Tasked(r.Environ).Launcher; launcher != "" {
		return fmt.Errorf("%w: --share %s: %s does not tell its ranks in which start of it they are together; %s do", spec.ErrOption, s, launcher, launchers)
	}
	return fmt.Errorf("%w: --share %s: this run is no rank of a launcher's, and has nobody to share with: start it with srun, or a launcher of %s", spec.ErrOption, s, launchers)
}

// shareRecord says in a record with whom the container was shared.
func (r *Runner) shareRecord(s Share) *record.Share {
	if s == "" {
		return nil
	}
	return &record.Share{Scope: string(s), Step: sched.Step(r.Environ)}
}

// shareID names the writable layer of the container that the ranks of a step on this node share, which is there once at most.
func (a *attempt) shareID() string {
	sum := sha256.Sum256([]byte(a.facts.Hostname + "\x00" + sched.Step(a.Environ)))
	return "share-" + hex.EncodeToString(sum[:10])
}

// startShared starts the job in the container of its step on this node, which it makes if it is the first.
func (a *attempt) startShared(ctx context.Context, config container.Config) (*container.Container, error) {
	if err := a.openShared(ctx, config); err != nil {
		return nil, err
	}
	_ = a.writer.Event("shared", map[string]any{"container": a.shared.ID, "made": a.shared.made}) // a full disk must not end a training
	if err := a.makeRankMetrics(); err != nil {
		return nil, err
	}
	return a.shared.Start(ctx, config)
}

// makingPatience is how long a rank waits for a container that is being made or is ending.
const makingPatience = time.Minute

// openShared joins the container, or makes it. One at a time, which saves work: what decides is who makes the writable layer.
func (a *attempt) openShared(ctx context.Context, config container.Config) (err error) {
	id := a.shareID()
	ctx, cancel := context.WithTimeoutCause(ctx, makingPatience, errors.New("the container is neither there nor gone"))
	defer cancel()
	unlock, err := a.Store.LockName(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	a.shared = &shared{upper: id}
	for {
		if a.shared.Shared, err = joinShared(ctx, a.Store.UpperDir(id)); err == nil {
			return a.agree(ctx)
		}
		if !errors.Is(err, errNoHolder) {
			return err
		}
		err = a.makeShared(ctx, id, config)
		if !errors.Is(err, store.ErrExists) {
			a.shared.made = err == nil
			return err
		}
		if gone, err := a.Store.ReclaimUpper(id); gone || err != nil {
			continue // of a container whose ranks were killed
		}
		if err := pauseShare(ctx); err != nil {
			return fmt.Errorf("waiting for the container of %s: %w", sched.Step(a.Environ), err)
		}
	}
}

// sharePause is how long a rank waits between two attempts to reach who makes or holds the container.
const sharePause = 2 * time.Millisecond

// pauseShare waits for the next attempt; the error is why ctx is done.
func pauseShare(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(sharePause):
		return nil
	}
}

// errNoHolder: nobody holds a container here.
var errNoHolder = errors.New("there is no shared container")

// lineName is the socket of a shared container beside its writable layer.
const lineName = "line"

// joinShared asks who holds the container.
func joinShared(ctx context.Context, dir string) (_ *container.Shared, err error) {
	line, err := dialLine(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOTDIR) {
		return nil, errNoHolder
	}
	if err != nil {
		return nil, err
	}
	s, err := container.Join(line)
	if errors.Is(err, container.ErrEnded) {
		return nil, errNoHolder
	}
	return s, err
}

// agree makes sure that the container is what this rank asks for.
func (a *attempt) agree(ctx context.Context) error {
	own := a.terms()
	for _, what := range slices.Sorted(maps.Keys(own)) {
		if theirs := a.shared.Terms[what]; theirs != own[what] {
			return fmt.Errorf("%w: the %s of this rank's container would be %s, and what it is to share with the others of %s on this node has %s",
				ErrShare, what, quote(own[what]), sched.Step(a.Environ), quote(theirs))
		}
	}
	// Those of the first rank are mounted, and this rank uses them as well.
	_, err := a.useNamed(ctx)
	return errors.Join(err, a.volumes.seeded())
}

func quote(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// makeShared makes the container. The error wraps store.ErrExists when it is there, or what is left of one.
func (a *attempt) makeShared(ctx context.Context, id string, config container.Config) (err error) {
	owner, err := a.prepared.Owner()
	if err != nil {
		return err
	}
	run := a.writer.Run()
	upper, err := a.Store.NewUpper(id, store.Lease{Owner: owner, Image: run.Image.Ref, Digest: a.image.Digest, Data: digests(a.data), Layers: a.layers()})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.prepared.Close(), upper.Remove())
		}
	}()
	if err := errors.Join(a.makeMetricsDir(upper), a.readyVolumes(ctx, upper)); err != nil {
		return err
	}
	socket, err := makeLine(upper.Dir())
	if err != nil {
		return err
	}
	defer socket.Close()
	config.ID, config.Root, config.Metrics = id, rootfs.Root{Layers: a.lower, Upper: upper.FS(), Work: upper.Work(), Base: upper.Root()}, metricsDir(upper)
	config.Volumes = a.volumes.config
	a.shared.Shared, err = a.prepared.Hold(ctx, config, socket, a.terms())
	return err
}

// terms are what all ranks of a container have in common, by words for a person. What is not among it each has for itself: command,
// variables, directory, limits, CPUs.
func (a *attempt) terms() map[string]string {
	run, o := a.writer.Run(), a.options
	var mounts, devices []string
	for _, m := range run.Mounts {
		mounts = append(mounts, strings.Join(append([]string{m.Type, m.Source, m.Target, m.Mode, m.Digest}, m.Options...), " "))
	}
	for _, g := range run.GPUs {
		devices = append(devices, g.UUID)
	}
	for _, d := range run.Devices {
		devices = append(devices, fmt.Sprint(d))
	}
	slices.Sort(devices)
	return map[string]string{
		"image": run.Image.Digest, "USER": run.User, "user namespace": run.UserNS, "mounts": strings.Join(mounts, ", "),
		"GPUs and devices": strings.Join(devices, ", "), "hostname": run.Hostname, "network": run.Network,
		"capabilities": strings.Join(run.Security.Capabilities, ", "), "seccomp profile": run.Security.Seccomp,
		"no_new_privs": fmt.Sprint(run.Security.NoNewPrivs), "read-only root": fmt.Sprint(run.ReadOnly),
		"MPI": mpiTerm(run.MPI), "secrets": secretNames(o.Secrets), "--shm-size": fmt.Sprint(o.shmAsked), "version of Coracle": a.Version.Version + " " + a.Version.Commit,
	}
}

func mpiTerm(m *record.MPI) string {
	if m == nil {
		return ""
	}
	return strings.Join(append([]string{m.Way}, m.Places...), " ")
}

func secretNames(list []secret.Secret) string {
	var names []string
	for _, s := range list {
		names = append(names, s.ID)
	}
	return strings.Join(names, ", ")
}

// rankMetrics is where a rank's metrics are in the directory of its container's.
func rankMetrics(id string) string { return filepath.Join(container.MetricsDir, id, training.FileName) }

// makeRankMetrics makes a place for the rank's metrics among those of the others.
func (a *attempt) makeRankMetrics() error {
	err := fsx.Mkdir(a.rankMetricsDir(), 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: another rank has removed what was left of the one that it was to share: its keeper died", container.ErrStart)
	}
	if err != nil {
		return fmt.Errorf("making a place for the job's metrics: %w", err)
	}
	return nil
}

func (a *attempt) rankMetricsDir() string {
	return filepath.Join(a.Store.UpperDir(a.shared.upper), "metrics", a.options.id)
}

// leaveShared lets go of the shared container. The last removes what it has written.
func (a *attempt) leaveShared() error {
	if a.shared == nil || a.shared.Shared == nil {
		return nil
	}
	last, err := a.shared.Leave()
	if !last {
		return errors.Join(err, a.shared.Close())
	}
	upper, err := a.Store.TakeUpper(a.shared.upper)
	if err != nil {
		return errors.Join(err, a.shared.Close())
	}
	path, err := upper.Leave()
	err = errors.Join(err, a.shared.Close()) // until now the layer was its keeper's
	if err != nil {
		return err
	}
	swept := make(chan error, 1)
	go func() { swept <- a.Store.Sweep(path, func() {}) }()
	if a.Sweep == nil {
		return <-swept
	}
	select {
	case err := <-swept:
		return err
	case <-time.After(removePatience):
		return a.Sweep(path)
	}
}

// makeLine makes the socket, at which the keeper will listen: whoever dials is told that it does.
func makeLine(path string) (*os.File, error) { return socket.Bind(path, lineName) }

// dialLine connects to the socket. There may be many ranks that do.
func dialLine(ctx context.Context, path string) (*os.File, error) {
	for {
		line, err := socket.Dial(path, lineName)
		if err == nil {
			return lineFile(line)
		}
		if !errors.Is(err, unix.EAGAIN) {
			return nil, err
		}
		if done := pauseShare(ctx); done != nil {
			return nil, fmt.Errorf("%w: %w", err, done)
		}
	}
}

// lineFile is a connection as who joins a container takes it, and makes sure of who listens.
func lineFile(line *net.UnixConn) (file *os.File, err error) {
	file, err = line.File()
	return file, errors.Join(err, line.Close())
}
