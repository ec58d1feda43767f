// The job's side of the fork: its terminal, its identity, its filter, its program.
#define _GNU_SOURCE
#include "init.h"
#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// A container has one uid, the caller's, which its own user namespace calls 0. An image whose USER is somebody else gets a
// second namespace in which that same uid has the number the image expects. Mapping uid 0 of the parent namespace needs
// CAP_SETFCAP at the moment of unshare (user_namespaces(7)); it is given up right after.
static int enter_nested_user_namespace(int self, uint32_t uid, uint32_t gid)
{
	return unshare(CLONE_NEWUSER) < 0 ? -1 : map_ids(self, uid, 0, gid, 0);
}

#define DEFAULT_TIMER_SLACK 50000UL // ns, the kernel's

// What the job writes to is a pipe or a terminal made for it, which it must be able to open by its name (/dev/stderr), as
// with docker. Its input may be a file of the caller's.
static int own_streams(uint32_t uid, uint32_t gid)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		struct stat st;
		int pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && fd != STDIN_FILENO;
		if ((pipe || isatty(fd)) && fchown(fd, uid, gid) < 0)
			return -1;
	}
	return 0;
}

// The namespace has the ids that the image expects, and the job becomes its user as a login does. Capabilities stay for
// what comes before the job's own program, which gets none unless it is root's.
static int switch_user(const struct job *job)
{
	const struct config *config = job->config;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2];
	if (config->uid != 0 && own_streams(config->uid, config->gid) < 0)
		return -1;
	if (setgroups(config->groups, job->groups) < 0 || setresgid(config->gid, config->gid, config->gid) < 0)
		return -1;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(config->uid, config->uid, config->uid) < 0)
		return -1;
	if (syscall(SYS_capget, &header, held) < 0)
		return -1;
	held[0].effective = held[0].permitted;
	held[1].effective = held[1].permitted;
	return syscall(SYS_capset, &header, held);
}

int limit_capabilities(const uint32_t keep[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2] = {
		{.effective = keep[0], .permitted = keep[0]},
		{.effective = keep[1], .permitted = keep[1]},
	};
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	// What is left in the bounding set a program of root gets back when it is executed. EINVAL ends the kernel's list.
	for (int cap = 0, bound; cap < 64 && (bound = prctl(PR_CAPBSET_READ, cap, 0, 0, 0)) >= 0; cap++)
		if (bound && !(keep[cap / 32] >> cap % 32 & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -1;
	return syscall(SYS_capset, &header, held);
}

int forbid_new_privileges(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int load_filter(const struct sock_fprog *filter)
{
	if (filter->len == 0)
		return 0;
	// SPEC_ALLOW as runc and docker have it: without it, kernels before 5.16 slow every process under a filter.
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, filter);
}

// Every signal as a new process expects it, those with which glibc refuses to be asked included: who started us may have set
// them to be ignored. The kernel's own form of "default" is all zeros.
static void reset_signals(void)
{
	static const struct { unsigned long handler, flags, restorer, mask; } by_default;
	sigset_t none;
	for (int signal = 1; signal < NSIG; signal++)
		if (signal != SIGKILL && signal != SIGSTOP)
			syscall(SYS_rt_sigaction, signal, &by_default, NULL, sizeof by_default.mask);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

// The job leads a process group of its own, in the foreground of the terminal if there is one, so that what the terminal's
// keys send reaches the job and its children and not PID 1.
static int take_terminal(const struct config *config)
{
	if (config->flags & FLAG_NO_INIT)
		return 0; // it leads its session, and so has both
	if (setpgid(0, 0) < 0)
		return -1;
	if (!(config->flags & FLAG_TTY))
		return 0;
	// SIGTTOU, which the kernel sends to a background group that does this, is blocked here as every signal is.
	return tcsetpgrp(STDIN_FILENO, getpid());
}

static const char *path_of(char **env)
{
	for (; *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			return *env + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

// execvpe, but a file without an interpreter line is an error (as for docker), not a shell script, and a directory in the
// search path does not end the search. errno says afterwards what came nearest: EACCES, ENOEXEC... before ENOENT.
static void execute(char **argv, char **env)
{
	char candidate[4096];
	int nearest = ENOENT;
	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return;
	}
	if (argv[0][0] == '\0') {
		errno = ENOENT;
		return;
	}
	for (const char *dir = path_of(env), *end; dir; dir = *end ? end + 1 : NULL) {
		end = strchrnul(dir, ':');
		int n = snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)(end - dir), dir, end == dir ? "" : "/", argv[0]);
		if (n < 0 || n >= (int)sizeof candidate)
			continue;
		execve(candidate, argv, env);
		// ENOENT for a file that is there means that its loader or its #! interpreter is not.
		if (errno == ENOENT && access(candidate, F_OK) == 0) {
			errno = ELIBACC;
			return;
		}
		if (errno != ENOENT && errno != ENOTDIR && !is_directory(candidate)) {
			nearest = errno;
			if (errno != EACCES)
				return;
		}
	}
	errno = nearest;
}

// Takes capabilities, then loads the filter, which without no_new_privs is a right of CAP_SYS_ADMIN: then it comes first.
static enum stage confine(const struct job *job)
{
	const struct config *config = job->config;
	int gain = config->flags & FLAG_NEW_PRIVILEGES;
	if (gain && load_filter(&job->filter) < 0)
		return STAGE_SECCOMP;
	if (limit_capabilities(config->capabilities) < 0)
		return STAGE_CAPABILITIES;
	if (config->flags & FLAG_FILTERED) // by init, which has handed it down
		return STAGE_NONE;
	if (!gain && (forbid_new_privileges() < 0 || load_filter(&job->filter) < 0))
		return STAGE_SECCOMP;
	return STAGE_NONE;
}

// A device of the container's among the job's streams, by its path.
struct opened {
	char path[64]; // "": none
	struct stat st;
};

static struct opened find_device(int fd)
{
	struct opened o = {0};
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (fstat(fd, &o.st) < 0 || !S_ISCHR(o.st.st_mode) || readlink(link, o.path, sizeof o.path - 1) < 0)
		o.path[0] = '\0';
	return o;
}

// Opens it by the mounts that the process has now: what was opened by others would have no name there.
static void open_again(int fd, const struct opened *o)
{
	struct stat st;
	int new = o->path[0] ? open(o->path, (fcntl(fd, F_GETFL) & O_ACCMODE) | O_NOCTTY | O_CLOEXEC) : -1;
	if (new < 0)
		return; // a device of the host's, say
	if (fstat(new, &st) == 0 && st.st_dev == o->st.st_dev && st.st_ino == o->st.st_ino)
		dup2(new, fd);
	close(new);
}

// A job that may mount gets a copy of the container's mounts that belongs to a user namespace below the container's. There the kernel
// holds together what it was given: what is read-only, nosuid or nodev stays so, and what covers something cannot be taken off
// (mount_namespaces(7), "Restrictions on mount namespaces").
static int enter_fence(void)
{
	struct opened streams[STDERR_FILENO + 1];
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		streams[fd] = find_device(fd);
	if (setns(FENCE_FD, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
		return -1;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		open_again(fd, &streams[fd]);
	return close(FENCE_FD);
}

int take_ids(const struct job *job, int self)
{
	const struct config *config = job->config;
	if (config->flags & FLAG_FENCE && enter_fence() < 0)
		return -1;
	if (config->flags & FLAG_NESTED && enter_nested_user_namespace(self, config->uid, config->gid) < 0)
		return -1;
	return config->flags & FLAG_SWITCH ? switch_user(job) : 0;
}

// libcontainer lets a container run on every CPU that its cpuset has. Where the caller was bound to fewer, as a scheduler does with
// the tasks of a node, the job is as well. Only a set that has nothing in common with the cpuset is refused, and then that counts.
static void bind_to_cpus(const struct job *job)
{
	if (job->config->cpus)
		syscall(SYS_sched_setaffinity, 0, (size_t)job->config->cpus * sizeof *job->cpus, job->cpus);
}

static int set_limits(const struct job *job)
{
	for (uint32_t i = 0; i < job->config->rlimits; i++) {
		const struct limit *limit = &job->limits[i];
		struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
		if (syscall(SYS_prlimit64, 0, (int)limit->resource, &value, NULL) < 0)
			return -1;
	}
	return 0;
}

enum stage limit_job(const struct job *job)
{
	umask(0022);
	prctl(PR_SET_TIMERSLACK, DEFAULT_TIMER_SLACK, 0, 0, 0);
	bind_to_cpus(job);
	if (set_limits(job) < 0)
		return STAGE_LIMITS;
	reset_signals();
	return confine(job);
}

enum stage prepare_job(const struct job *job)
{
	const struct config *config = job->config;
	// The files in /proc/self of an untraceable process belong to root (proc(5)), and there is a uid_map to be written.
	// Nobody who could trace this is in the container yet.
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (take_terminal(config) < 0)
		return STAGE_TERMINAL;
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self < 0 || take_ids(job, self) < 0 || close(self) < 0)
		return STAGE_USER;
	return limit_job(job);
}

enum stage execute_job(const struct job *job)
{
	if (job->config->flags & FLAG_LAUNCHER)
		fcntl(LAUNCHER_FD, F_SETFD, 0);
	execute(job->argv, job->env);
	if (errno == ENOENT && strchr(job->argv[0], '/') && access(job->argv[0], F_OK) == 0)
		errno = ELIBACC;
	return STAGE_EXEC;
}
