// What PID 1 of a container is told, and what it tells. The Go side of both is in wire.go; a test holds the two together.
#ifndef CORACLE_INIT_H
#define CORACLE_INIT_H

#include <linux/filter.h>
#include <stdint.h>

#define INIT_ARG "coracle-init" // argv[1] of PID 1
#define CONTROL_FD 3            // seqpacket socket to the supervisor: signals in, reports out; with FLAG_NO_INIT it ends when the job begins
#define CONFIG_FD 4             // memfd: struct config, filter, CPUs, rlimits, groups, then the strings of argv and the environment
#define FENCE_FD 5              // FLAG_FENCE: the user namespace that the job's processes are in, or below
#define LAUNCHER_FD 6           // FLAG_LAUNCHER: a socket that the job inherits; without FLAG_FENCE it comes as FENCE_FD
#define CONFIG_MAGIC 0x31524f43 // "COR1"
#define FOR_INIT_ALONE 0x4f574e45 // a signal by sigqueue(3) with this value is not passed on to the job

// A further process of a running container (exec.c) has these beside CONTROL_FD, which leads to the keeper, and CONFIG_FD.
#define EXEC_ARG "coracle-exec" // argv[1]; then how many namespaces to join, the terminal's rows and columns, the directory
#define HOOK_ARG "coracle-hook" // argv[0] of what runs a hook (hook.c)
#define CONSOLE_FD 5            // FLAG_TTY: socket to send the terminal's master side to
#define USER_FD 6               // FLAG_JOIN: the user namespace to begin in, the job's or that of its fence
#define NAMESPACE_FD 7          // the first of the other namespaces; the mount namespace is the last

// A rank of a shared container (rank.c) is started as a further process is, by its own supervisor and not by the keeper. CONTROL_FD is as
// init's, the first namespace is the keeper's user namespace, and behind the last one is the line to the keeper, and then what
// is to become LAUNCHER_FD.
#define RANK_ARG "coracle-rank" // argv[1]; then how many namespaces to join, the directory
#define RANK_FD 5               // stream socket to the supervisor: Replies of wire.go; a byte lets it begin

enum {
	FLAG_TTY = 1, FLAG_NESTED = 2, FLAG_NEW_PRIVILEGES = 4, FLAG_SWITCH = 8, FLAG_NO_INIT = 16, FLAG_JOIN = 32, FLAG_FENCE = 64, FLAG_FILTERED = 128,
	FLAG_LAUNCHER = 256, FLAG_HOLD = 512, FLAG_RANK = 1024,
};

struct config {
	uint32_t magic;
	uint32_t flags;
	uint32_t uid, gid;    // the job's identity as it sees it
	uint32_t capabilities[2]; // what the job keeps, one bit each, low half first
	uint32_t argc, envc;  // strings of each, NUL-terminated, argv first
	uint32_t filter;      // instructions of the seccomp filter; none: unconfined
	uint32_t strings;     // bytes of all strings
	uint32_t groups;      // how many supplementary groups FLAG_SWITCH gives the job
	uint32_t cpus;        // words of 64 bits of the set of CPUs that the job is to run on; none: any
	uint32_t rlimits;     // how many limits of its processes follow
	uint32_t unused;      // what follows is aligned
	uint64_t passed;      // signals that the supervisor hands to the job, one bit each, SIGHUP lowest
};

// One setrlimit(2).
struct limit {
	uint64_t resource, soft, hard;
};

// FLAG_NO_INIT: there is no init but the job, which takes its place as PID 1.
// FLAG_HOLD: init is there for others to join (hold.c), and the keeper is at the other end of CONTROL_FD.
// FLAG_RANK: init is one of several in the container, and none of them is PID 1.

enum report_kind { REPORT_STARTED = 1, REPORT_FAILED = 2, REPORT_ENDED = 3, REPORT_FORKED = 4, REPORT_SIGNALLED = 5, REPORT_CLEARED = 6 };

// Where a start failed; the errno goes with it.
enum stage {
	STAGE_NONE, STAGE_CONFIG, STAGE_FORK, STAGE_TERMINAL, STAGE_USER, STAGE_CAPABILITIES, STAGE_SECCOMP, STAGE_EXEC,
	STAGE_JOIN, STAGE_DIRECTORY, // of a further process
	STAGE_LIMITS,
};

// What processes read and wrote, in bytes: by system calls, and from and to block devices.
struct io {
	uint64_t file_read, file_written, read, written;
};

struct report {
	uint32_t kind;
	int32_t value; // started, forked, cleared: pid; failed: stage; ended: the job's wait status; signalled: the signal
	int32_t error; // failed: errno; started: pid of the init
	uint32_t unused;
	uint64_t nanoseconds; // CLOCK_MONOTONIC: of just before the job was started, of when it was seen to have ended
	// ended: what the kernel accounted to the job and everything that came of it
	uint64_t user_usec, system_usec;
	uint64_t max_rss; // bytes, of the largest single process
	struct io io;
};

struct command {
	uint32_t signal; // delivered to the job; SIGKILL ends every process of the container, or of the rank. FLAG_HOLD: pid of a rank's init that is gone
};

// What the job's process becomes, read from the config.
struct job {
	const struct config *config;
	struct sock_fprog filter;
	const uint32_t *groups;
	const uint64_t *cpus;
	const struct limit *limits;
	char **argv, **env;
};

int read_config(struct job *job);
// Sends a report over CONTROL_FD.
void report(struct report r);
// Reports a failure and ends the process.
_Noreturn void fail(enum stage stage, int error);

// Gives the calling process all that the job is to have and takes from it what the job is not to have. The stage that failed, with
// errno set, or STAGE_NONE.
enum stage prepare_job(const struct job *job);
// Parts of that: the job's ids (SELF is /proc/self, opened), and its umask, signals, capabilities and filter.
int take_ids(const struct job *job, int self);
enum stage limit_job(const struct job *job);
// Makes the prepared process the job's program. It returns only when that failed.
enum stage execute_job(const struct job *job);

// Gives up every capability of the calling process but some, for good.
int limit_capabilities(const uint32_t keep[2]);
// Programs that are executed from now on gain nothing by it.
int forbid_new_privileges(void);
int load_filter(const struct sock_fprog *filter);

// Joins a namespace of one kind, or of whichever it is when that is 0, and closes it (exec.c).
int join(int fd, int kind);
// Takes the ids that the container's keeper has chosen (exec.c).
int take_user(const struct job *job, int self);
// Goes where the process is to begin, with no more rights than it will have there (exec.c).
int enter_directory(const char *path);

// Starts the job beside others as their init, and ends with it (init.c).
_Noreturn void run_rank(const struct job *job);

// Holds a container until the keeper is gone (hold.c).
_Noreturn void hold(const struct job *job);
// Kills the children of this process: they cannot be anybody else, as long as nobody else waits for them. PROC is /proc, opened (hold.c).
void kill_children(int proc);
// Kills and reaps children, and what they leave to this process, until there is none (hold.c).
void end_children(int proc);

#endif
