// Package hint knows the next step after a failure: what users meet most, and what 'coracle doctor' can say more of.
package hint

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"

	"github.com/coracle-run/coracle/internal/catalog"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/control"
	"github.com/coracle-run/coracle/internal/device"
	"github.com/coracle-run/coracle/internal/host"
	"github.com/coracle-run/coracle/internal/job"
	"github.com/coracle-run/coracle/internal/mpi"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/secret"
	"github.com/coracle-run/coracle/internal/supervise"
	"github.com/coracle-run/coracle/internal/volume"
	"github.com/coracle-run/coracle/oci/archive"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
	"github.com/coracle-run/coracle/runtime/container"
	"github.com/coracle-run/coracle/runtime/gpu"
	"github.com/coracle-run/coracle/runtime/gpu/cdi"
	"github.com/coracle-run/coracle/runtime/idmap"
	"github.com/coracle-run/coracle/runtime/network"
	"github.com/coracle-run/coracle/runtime/rootfs"
	"github.com/coracle-run/coracle/runtime/spec"
)

// hints are the next steps for what users meet most; the first that fits is printed.
var hints = []struct {
	of   error
	step string
}{
	{config.ErrOwner, "as root: chown root:root and chmod go-w the file and its directory"},
	{config.ErrConfig, "mend it; 'coracle config --help' and 'man coracle-config' tell what there is"},
	{config.ErrForced, "'coracle config ls --set' shows what the site has set"},
	{config.ErrPolicy, "'coracle config ls --set' shows the site's policy"},
	{registry.ErrUnauthorized, "check the name; for a private image, log in with 'coracle login' first"},
	{registry.ErrNotFound, "check the spelling of the name and the tag"},
	{registry.ErrRateLimited, "wait, or log in with 'coracle login' for a higher limit; stored images need no registry"},
	{registry.ErrNotRegistry, "check the registry's host and port; for a registry without TLS add --insecure"},
	{registry.ErrUnreachable, "check the registry's host and port, and the proxy variables; for a registry without TLS add --insecure"},
	{registry.ErrCertificate, "see oci/README.md for where certificates are looked for; --insecure goes on without, where that is acceptable"},
	{registry.ErrDigest, "try again; if it stays, the registry or a proxy before it serves damaged data"},
	{archive.ErrArchive, "'docker save', 'podman save' and 'coracle save' write image archives"},
	{registry.ErrBadRef, "an image is named [REGISTRY/]NAME[:TAG] or [REGISTRY/]NAME@sha256:DIGEST"},
	{registry.ErrNotImage, "name a container image; 'skopeo inspect --raw docker://NAME' shows what this is"},
	{store.ErrNotFound, "'coracle images' lists what is stored, 'coracle pull' fetches an image"},
	{store.ErrCorrupt, "pull the image again"},
	{store.ErrAmbiguous, "give more digits of the id"},
	{location.ErrNoHome, "name a directory for it with CORACLE_ROOT, on a disk that outlives the job"},
	{location.ErrNotOwned, "choose a directory of your own with CORACLE_ROOT, or --layers for the layers alone"},
	{job.ErrVolume, "make it first, or check the path: other than docker's -v, Coracle mounts only what is there"},
	{gpu.ErrNoHelper, "install coracle-nvidia beside coracle, or in ../libexec/coracle from there, or name it with CORACLE_NVIDIA_HELPER; without --gpus it is not needed"},
	{gpu.ErrVersion, "coracle and coracle-nvidia are built together: install both of one release"},
	{gpu.ErrHung, "'nvidia-smi' shows whether the driver answers at all; CORACLE_GPU_TIMEOUT=120s gives it more time"},
	{gpu.ErrHelper, "'nvidia-smi' shows whether the driver works; if it does, this is a fault of coracle-nvidia's"},
	{gpu.ErrNoDriver, "'nvidia-smi' shows whether this host has one; for a driver in a place of its own give --driver-root DIR; AMD's GPUs come by --device"},
	{gpu.ErrDriver, "'nvidia-smi' shows whether the driver works; after an update of the driver its kernel module has to be loaded anew"},
	{gpu.ErrPermission, "in a batch job, ask the scheduler for GPUs (Slurm: --gpus or --gres); else look at 'ls -l /dev/nvidia*' and your groups"},
	{gpu.ErrTooFew, "'coracle gpus' lists them; in a batch job, ask the scheduler for more"},
	{gpu.ErrUnknownDevice, "'coracle gpus' lists the GPUs"},
	{gpu.ErrSelection, "see 'coracle run --help'"},
	{cdi.ErrName, "'coracle run --help' says what --device takes"},
	{cdi.ErrOwner, "a specification is taken from root or from you, and written by nobody else; one with hooks from root alone"},
	{cdi.ErrNotFound, "vendors' tools write these specifications to /etc/cdi or /var/run/cdi; NVIDIA's GPUs need none: --gpus"},
	{device.ErrUnusable, "look at the device with 'ls -l', and at your groups with 'id'"},
	{mpi.ErrNone, "'srun --mpi=list' shows what this Slurm has, 'srun --mpi=pmix coracle run ...' asks for it; without --mpi the job takes what there is"},
	{secret.ErrRead, "name a file of yours (--secret id=NAME,src=FILE) or a variable (id=NAME,env=VARIABLE)"},
	{volume.ErrNotFound, "'coracle volume ls' lists the volumes; 'coracle run -v NAME:/data' makes one"},
	{catalog.ErrNotStored, "pull it first with 'coracle pull', or leave out --pull never"},
	{job.ErrShare, "give all ranks of the step the same options; for GPUs, ask for them by the node and not by the task (srun --gpus-per-node, --gpu-bind=none)"},
	{job.ErrNameTaken, "choose another name, or wait for that run to end"},
	{network.ErrHelper, "without --network private the job has the host's network"},
	{network.ErrPort, "end that process, or publish another port: -p 8081:80, or -p 80 for any that is free"},
	{network.ErrOption, "see 'coracle run --help'"},
	{spec.ErrOption, "see 'coracle run --help'"},
	{container.ErrUserNamespaces, "'unshare --user --map-root-user true' shows whether this host allows them; ask its administrator"},
	{idmap.ErrMap, "newuidmap and newgidmap must be setuid root: ask the administrator to reinstall the package uidmap; or leave out --userns subuid"},
	{container.ErrProc, "run Coracle outside of that container, or start it with its /proc uncovered: 'podman run --security-opt unmask=ALL', 'docker run --security-opt systempaths=unconfined'"},
	{container.ErrUser, "'coracle run --user UID:GID' chooses somebody by number"},
	{container.ErrExec, "'coracle stats RUN' and 'coracle report RUN' show whether the job has reached a limit, which holds for what is run beside it, too"},
	{container.ErrNotFound, "'coracle inspect IMAGE' shows the image's own command and PATH"},
	{container.ErrNotExecutable, "look at it with 'coracle run IMAGE ls -l FILE': it must be a file that may be executed, for this machine's architecture, whose interpreter (#!) is there"},
	{record.ErrNotFound, "'coracle runs' lists the runs"},
	{record.ErrRunning, "wait for its end, or end it with its supervisor: the record says which process that is; one on another host that is gone for good goes with --force"},
	{supervise.ErrPaused, "'coracle unpause' lets it go on"},
	{job.ErrRests, "try again then; 'coracle logs' has what it has printed, 'coracle stop' has it start no more"},
	{control.ErrNotYet, "'coracle runs show' tells where it stands; an image may have to be pulled first"},
	{record.ErrAmbiguous, "give more characters of the id"},
	{store.ErrNotKept, "'coracle upper ls' lists those that are kept"},
	{syscall.ENOSPC, "free some space ('coracle df' shows what is stored, and the inodes that are left, 'coracle prune' removes what nobody needs), or keep the layers elsewhere with --layers DIR"},
	{syscall.EDQUOT, "your quota is used up: free some space ('coracle prune' removes what nobody needs), or keep the layers elsewhere with --layers DIR"},
	{syscall.EROFS, "the store must be writable: choose another directory with CORACLE_ROOT, or --layers for the layers alone"},
	{syscall.ESTALE, "the file server no longer knows a file that was in use: try again; if it stays, ask who looks after that server"},
	{syscall.EIO, "the disk, or the server of these files, failed: 'dmesg' may say how; ask who looks after it"},
	{fs.ErrPermission, "look at owner and mode of what is named with 'ls -ld'; CORACLE_ROOT, or --layers for the layers alone, chooses another place for the store"},
	{syscall.EMFILE, "raise the limit on open files: ulimit -n 4096"},
}

// examined are the failures that 'coracle doctor' looks for: it may know more of the node than the run that failed.
var examined = []error{
	container.ErrUserNamespaces, container.ErrProc, container.ErrNetwork, idmap.ErrMap, rootfs.ErrOverlay, location.ErrNoLayerRoot,
	registry.ErrUnreachable, registry.ErrCertificate, network.ErrHelper,
	gpu.ErrNoHelper, gpu.ErrVersion, gpu.ErrHung, gpu.ErrHelper, gpu.ErrNoDriver, gpu.ErrDriver, gpu.ErrPermission,
}

// Of is the next step after an error, or "".
func Of(err error) string {
	step := Plain(err)
	known := func(kind error) bool { return errors.Is(err, kind) }
	_, ids := errors.AsType[*host.SubIDError](err)
	_, filtered := errors.AsType[*host.FilteredError](err)
	if !ids && !filtered && !slices.ContainsFunc(examined, known) {
		return step
	}
	const more = "'coracle doctor' examines this node"
	if step == "" {
		return more
	}
	return step + "; " + more
}

// Plain is what an error says itself, else the first step that fits.
func Plain(err error) string {
	if e, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return e.Hint()
	}
	for _, h := range hints {
		if errors.Is(err, h.of) {
			return h.step
		}
	}
	return ""
}
