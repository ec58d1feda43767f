package config

import "slices"

// Kind says what a value is, in TOML and as text.
type Kind string

// The kinds of values.
const (
	Text    Kind = "text"
	Path    Kind = "path"   // absolute, after $NAME and ~ are replaced
	Word    Kind = "word"   // one of Setting.Words
	Size    Kind = "size"   // "8g"
	Time    Kind = "time"   // "30s"
	Number  Kind = "number" // 4, for CPUs also 1.5
	Switch  Kind = "switch" // true or false
	Typed   Kind = "keys"   // "ctrl-p,ctrl-q"; "" is none
	Mirrors Kind = "mirrors"
)

// Setting is one thing that can be set.
type Setting struct {
	Key      string
	Kind     Kind
	List     bool     // it has several values
	Adds     bool     // a list to which each place adds; of others the most important place's counts
	Most     bool     // forced, it is the most that may be asked for
	Always   bool     // what the site sets is forced: the user cannot change it
	Words    []string // of a Word
	Expand   bool     // $NAME is replaced by the caller's variable, ~ by the home directory
	Variable string   // CORACLE_*; "": none
	Option   string   // of the command line; "": none
	Default  string   // built in, as people say it
	About    string
}

// Settings are all there are, in the order in which they are shown.
var Settings = []Setting{
	{Key: "store.root", Kind: Path, Expand: true, Variable: "CORACLE_ROOT", Default: "$XDG_DATA_HOME/coracle, else ~/.local/share/coracle", About: "Directory of images and run records; layers are in it, too, where its file system can hold them"},
	{Key: "store.layers", Kind: Path, List: true, Expand: true, Variable: "CORACLE_LAYERS", Option: "--layers", Default: "store.root, else a local directory with room", About: "Directories for image layers: the first that can hold them"},

	{Key: "pull.memory_budget", Kind: Size, Variable: "CORACLE_MEMORY_BUDGET", Option: "--memory-budget", Default: "96m", About: "Memory that a pull may use"},
	{Key: "pull.progress", Kind: Word, Words: []string{"auto", "plain", "json", "none"}, Variable: "CORACLE_PROGRESS", Option: "--progress", Default: "auto", About: "How progress is shown"},

	{Key: "registry.mirror", Kind: Mirrors, List: true, Adds: true, Default: "registries.conf's", About: "Mirrors, asked before those of registries.conf: tables with prefix, location, and insecure = true for one without TLS"},

	{Key: "policy.registries", Kind: Text, List: true, Always: true, Default: "all", About: "Registries and repositories that images may come from, such as docker.io/library, ghcr.io/team, *.lab.example"},
	{Key: "policy.digests_only", Kind: Switch, Always: true, Default: "false", About: "Images are named by their digests, NAME@sha256:..., and by nothing else"},
	{Key: "policy.archives", Kind: Switch, Always: true, Default: "true", About: "Images may come from archives (load, docker-archive:FILE, oci:DIR and the like)"},

	{Key: "gpu.driver_root", Kind: Path, Expand: true, Variable: "CORACLE_DRIVER_ROOT", Option: "--driver-root", Default: "the usual places", About: "Where NVIDIA's driver is"},
	{Key: "gpu.helper", Kind: Path, Expand: true, Variable: "CORACLE_NVIDIA_HELPER", Default: "coracle-nvidia beside coracle, or in ../libexec/coracle", About: "The program that asks NVIDIA's driver"},
	{Key: "gpu.timeout", Kind: Time, Variable: "CORACLE_GPU_TIMEOUT", Default: "30 s, to list GPUs 60 s", About: "How long the driver may take to answer"},

	{Key: "run.env", Kind: Text, List: true, Adds: true, Option: "--env", About: "Variables of every job: NAME=VALUE, or NAME for the caller's own value"},
	{Key: "run.volume", Kind: Text, List: true, Adds: true, Expand: true, Option: "--volume", About: "Directories that are mounted for every job, as --volume takes them"},
	{Key: "run.mount", Kind: Text, List: true, Adds: true, Expand: true, Option: "--mount", About: "Mounts of every job, as --mount takes them"},
	{Key: "run.network", Kind: Word, Words: []string{"host", "none", "private"}, Variable: "CORACLE_NETWORK", Option: "--network", Default: "host", About: "The job's network"},
	{Key: "run.userns", Kind: Word, Words: []string{"flat", "root", "host-uid", "subuid"}, Variable: "CORACLE_USERNS", Option: "--userns", Default: "flat", About: "Who the job is inside"},
	{Key: "run.mpi", Kind: Word, Words: []string{"auto", "pmix", "pmi2", "none"}, Variable: "CORACLE_MPI", Option: "--mpi", Default: "auto", About: "By which way a job takes part in its launcher's MPI"},
	{Key: "run.pull", Kind: Word, Words: []string{"missing", "always", "never"}, Variable: "CORACLE_PULL", Option: "--pull", Default: "missing", About: "When the image is pulled"},
	{Key: "run.stop_timeout", Kind: Time, Variable: "CORACLE_STOP_TIMEOUT", Option: "--stop-timeout", Default: "10s", About: "How long a job may take to end"},
	{Key: "run.timeout", Kind: Time, Most: true, Option: "--timeout", Default: "none", About: "How long a job may run"},
	{Key: "run.memory", Kind: Size, Most: true, Option: "--memory", Default: "no limit", About: "Memory that a job may use"},
	{Key: "run.cpus", Kind: Number, Most: true, Option: "--cpus", Default: "no limit", About: "CPUs that a job may use"},
	{Key: "run.pids_limit", Kind: Number, Most: true, Option: "--pids-limit", Default: "32768 where that can be enforced", About: "Processes and threads that a job may have"},
	{Key: "run.shm_size", Kind: Size, Most: true, Option: "--shm-size", Default: "half of the memory that the job may use", About: "Size of /dev/shm"},
	{Key: "run.require_limits", Kind: Switch, Option: "--require-limits", Default: "false", About: "A job does not run if one of its limits cannot be enforced"},
	{Key: "run.read_only", Kind: Switch, Option: "--read-only", Default: "false", About: "The image's files are read-only for the job"},
	{Key: "run.ulimit", Kind: Text, List: true, Adds: true, Option: "--ulimit", About: "Limits of each process of every job, such as nofile=1024:4096"},
	{Key: "run.exit_code", Kind: Text, List: true, Adds: true, Option: "--exit-code", About: "Statuses for causes, such as preempted=75"},
	{Key: "run.project", Kind: Text, Variable: "CORACLE_PROJECT", Option: "--project", Default: "none", About: "The project that runs belong to"},
	{Key: "run.detach_keys", Kind: Typed, Variable: "CORACLE_DETACH_KEYS", Option: "--detach-keys", Default: "ctrl-p,ctrl-q", About: "Keys by which a terminal is left, of run, attach and exec; \"\" is none"},
	{Key: "run.summary", Kind: Word, Words: []string{"auto", "always", "never"}, Variable: "CORACLE_SUMMARY", Option: "--summary", Default: "auto", About: "When the page about a run is shown at its end"},
}

// force is the key by which a site names what users may not change.
const force = "force"

// Find returns the setting of a key.
func Find(key string) (Setting, bool) {
	i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return Settings[i], true
}

// Keys are those of all settings.
func Keys() (keys []string) {
	for _, s := range Settings {
		keys = append(keys, s.Key)
	}
	return keys
}
