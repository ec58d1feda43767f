package record

import (
	"time"

	"github.com/coracle-run/coracle/internal/host"
)

// Schema is the version of the files written here. A reader refuses a greater one; a new field does not change it.
const Schema = 1

// Run is run.json: what was asked for and what it resolved to. It does not change once written, but for the name.
type Run struct {
	Schema  int       `json:"schema"`
	ID      string    `json:"id"`             // ULID, sorts by creation
	Name    string    `json:"name,omitempty"` // --name, or [Runs.Rename]; several runs may bear one name
	Created time.Time `json:"created"`        // UTC

	Project string            `json:"project,omitempty"` // --project
	Labels  map[string]string `json:"labels,omitempty"`  // --label

	Image Image    `json:"image"`
	Argv  []string `json:"argv"` // the job's command line, entrypoint and arguments together
	Cwd   string   `json:"cwd"`  // inside
	User  string   `json:"user"` // inside, as asked for: the image's USER or -u
	Env   Env      `json:"env"`

	UserNS string `json:"userns"`           // who the job is inside: flat, root, host-uid, subuid
	IDMap  *IDMap `json:"id_map,omitempty"` // subuid: who its users are on the host; else all are the caller

	Mounts     []Mount  `json:"mounts"`
	Secrets    []Secret `json:"secrets,omitempty"`
	Hostname   string   `json:"hostname"`
	Network    string   `json:"network"`           // host, none, private
	Names      *Names   `json:"names,omitempty"`   // when asked for
	Private    *Private `json:"private,omitempty"` // of a private network
	Namespaces []string `json:"namespaces"`
	Security   Security `json:"security"`
	ReadOnly   bool     `json:"read_only"`
	TTY        bool     `json:"tty"`
	NoInit     bool     `json:"no_init,omitempty"` // --init=false: the job was PID 1
	Share      *Share   `json:"share,omitempty"`   // --share: the container was that of other runs, too
	Limits     Limits   `json:"limits"`
	Restart    string   `json:"restart,omitempty"` // --restart, other than no
	Upper      string   `json:"upper,omitempty"`   // keep:NAME: the writable layer is not the run's own, and stays

	GPUs    []GPU      `json:"gpus,omitempty"` // that the job was given, in its order
	Driver  *GPUDriver `json:"gpu_driver,omitempty"`
	Devices []Device   `json:"devices,omitempty"` // --device

	MPI *MPI `json:"mpi,omitempty"` // of a launcher's, or asked for

	RerunOf string `json:"rerun_of,omitempty"` // id of the run that this one repeats
	Git     *Git   `json:"git,omitempty"`      // around the directory that it was started in

	Caller     Caller            `json:"caller"`
	Host       Host              `json:"host"`
	Supervisor host.Owner        `json:"supervisor"`          // the process that writes this record
	Control    string            `json:"control,omitempty"`   // directory in which it takes commands as long as the job runs, on its host
	Scheduler  map[string]string `json:"scheduler,omitempty"` // SLURM_JOB_ID and its like, when set

	Task       *Task  `json:"task,omitempty"`        // of several that a launcher started together
	RequeuedOf string `json:"requeued_of,omitempty"` // id of the run of this task before its batch job was put back into the queue

	Coracle Version  `json:"coracle"`
	Command []string `json:"command"` // coracle's own command line

	Settings []Setting `json:"settings,omitempty"` // options of it that came from a configuration
	Redact   []string  `json:"redacted,omitempty"` // where a secret was taken out: "argv[3]", "env.HF_TOKEN"
}

// Image says exactly which image ran.
type Image struct {
	Ref      string   `json:"ref"`                     // canonical: docker.io/library/debian:12
	Digest   string   `json:"digest"`                  // of the platform's manifest
	Index    string   `json:"index,omitempty"`         // of the index that the manifest came from
	Config   string   `json:"config_digest,omitempty"` // docker's image id
	Platform string   `json:"platform"`                // os/arch[/variant]
	Layers   []string `json:"layers,omitempty"`        // compressed digests, lowest first
}

// Env is the job's environment: values only of what the user passed, names of the rest.
type Env struct {
	Set   map[string]string `json:"set"`   // -e and --env-file; secrets redacted
	Names []string          `json:"names"` // from the image, the scheduler and Coracle
}

// IDMap says which ids of the host those inside are.
type IDMap struct {
	UIDs []IDRange `json:"uids"`
	GIDs []IDRange `json:"gids"`
}

// IDRange is Size ids, from Inside and from Host on.
type IDRange struct {
	Inside uint32 `json:"inside"`
	Host   uint32 `json:"host"`
	Size   uint32 `json:"size"`
}

// Mount is one mount that the user asked for or that came from the host.
type Mount struct {
	Type    string   `json:"type"`             // bind, tmpfs, volume, image
	Name    string   `json:"name,omitempty"`   // of a volume
	Source  string   `json:"source,omitempty"` // absolute, on the host; of an image, its reference
	Digest  string   `json:"digest,omitempty"` // of an image's manifest
	Target  string   `json:"target"`           // absolute, inside
	Mode    string   `json:"mode"`             // ReadOnly or ReadWrite
	FSType  string   `json:"fs_type,omitempty"`
	Options []string `json:"options,omitempty"`

	Fingerprint *Fingerprint `json:"fingerprint,omitempty"` // in mounts.json; filled in by Runs.Get alone
}

// The modes of a mount.
const (
	ReadOnly  = "ro"
	ReadWrite = "rw"
)

// Secret is a file below /run/secrets. Its content is nowhere on record.
type Secret struct {
	ID   string `json:"id"`   // name of the secret and of its file
	From string `json:"from"` // where it came from: a file, or a variable of the caller's (env)
}

// Security is what holds the job.
type Security struct {
	NoNewPrivs   bool     `json:"no_new_privs"`
	Seccomp      string   `json:"seccomp"`      // name of the profile, or "unconfined"
	Capabilities []string `json:"capabilities"` // empty by default
}

// Limits are what the job was held to. Sizes are in bytes; 0 means that there is no limit of the run's own.
type Limits struct {
	ShmBytes    int64 `json:"shm_bytes,omitempty"`
	MemoryBytes int64 `json:"memory_bytes,omitempty"` // enforced
	Pids        int64 `json:"pids,omitempty"`         // enforced
	Threads     int   `json:"threads,omitempty"`      // CPUs that the job was told to use; 0: nothing, all are its

	TimeoutSeconds float64    `json:"timeout_seconds,omitempty"` // --timeout
	Until          *time.Time `json:"until,omitempty"`           // when the batch scheduler ends its job, and this with it

	Requested map[string]string `json:"requested,omitempty"` // by option: memory, cpus, ...
	Enforced  []Limit           `json:"enforced,omitempty"`
	Missing   []Limit           `json:"missing,omitempty"` // requested and not enforced
}

// Limit is one limit. Value is as the kernel takes it, or as the option does.
type Limit struct {
	Limit     string `json:"limit"` // the option's name
	Value     string `json:"value"`
	Mechanism string `json:"mechanism,omitempty"` // enforced: cgroup-v2, systemd, cgroup-v1, rlimit, affinity, process
	Why       string `json:"why,omitempty"`       // missing
}

// Caller is who ran it, on the host.
type Caller struct {
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	User string `json:"user,omitempty"` // empty when the uid has no name
}

// Host is the machine that it ran on.
type Host struct {
	Hostname    string `json:"hostname"`
	Kernel      string `json:"kernel"`
	OS          string `json:"os,omitempty"` // PRETTY_NAME of os-release
	Arch        string `json:"arch"`
	CPUs        int    `json:"cpus"` // usable by this process
	MemoryBytes int64  `json:"memory_bytes"`
	Driver      string `json:"nvidia_driver,omitempty"`
}

// Setting is an option of the run that was not given, but set for good.
type Setting struct {
	Key    string   `json:"key"` // of the configuration
	Option string   `json:"option"`
	Values []string `json:"values"`
	From   string   `json:"from"` // FILE:LINE, or the variable
}

// Version is the Coracle that wrote the record.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

// MPI is how the job learned of the other processes of its parallel program.
type MPI struct {
	Way    string   `json:"way"`              // pmix, pmi2, none
	Places []string `json:"places,omitempty"` // directories, files and sockets of the launcher's that it saw, at their paths of the host
}
