// PID 1 of every container, unless the job itself is to be that (FLAG_NO_INIT). It starts the job, reaps what is orphaned, hands on signals, and ends with the job's status;
// when it ends, the kernel ends everything else in its pid namespace.
//
// It is C, and runs as a constructor of the main binary before the Go runtime boots, because a second Go runtime would cost
// each start 1.5 ms and each job some megabytes. Everything that takes judgement has been done in Go: this file receives
// resolved numbers and strings, over a memfd and not by its environment, so that nothing an image says is seen by it or
// by any library's constructor.
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf_common.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_INTERNAL 125
#define MAX_CPUS 65536 // more than any kernel has
#define MAX_RLIMITS 64

void report(struct report r)
{
	// A supervisor that is gone is noticed by poll; there is nobody to tell.
	while (send(CONTROL_FD, &r, sizeof r, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

void fail(enum stage stage, int error)
{
	report((struct report){.kind = REPORT_FAILED, .value = stage, .error = error});
	_exit(EXIT_INTERNAL);
}

// Takes COUNT strings from the text at *P that ends at END. NULL: the text is too short or memory is.
static char **take_strings(char **p, const char *end, uint32_t count)
{
	char **list = calloc((size_t)count + 1, sizeof *list);
	for (uint32_t i = 0; list && i < count; i++) {
		char *nul = memchr(*p, '\0', (size_t)(end - *p));
		if (!nul)
			return NULL;
		list[i] = *p;
		*p = nul + 1;
	}
	return list;
}

int read_config(struct job *job)
{
	struct stat st;
	if (fstat(CONFIG_FD, &st) < 0)
		return -1;
	char *base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, CONFIG_FD, 0);
	if (base == MAP_FAILED)
		return -1;
	close(CONFIG_FD);
	const struct config *config = (const struct config *)base;
	errno = EINVAL;
	if ((size_t)st.st_size < sizeof *config || config->magic != CONFIG_MAGIC || config->argc == 0 || config->filter > BPF_MAXINSNS || config->groups > NGROUPS_MAX || config->cpus > MAX_CPUS / 64 || config->rlimits > MAX_RLIMITS)
		return -1;
	size_t filter = (size_t)config->filter * sizeof(struct sock_filter);
	size_t groups = (size_t)config->groups * sizeof(uint32_t);
	size_t cpus = (size_t)config->cpus * sizeof(uint64_t);
	size_t limits = (size_t)config->rlimits * sizeof(struct limit);
	if ((size_t)st.st_size != sizeof *config + filter + cpus + limits + groups + config->strings)
		return -1;
	char *text = base + sizeof *config + filter + cpus + limits + groups;
	job->cpus = (const uint64_t *)(base + sizeof *config + filter);
	job->limits = (const struct limit *)(base + sizeof *config + filter + cpus);
	job->groups = (const uint32_t *)(base + sizeof *config + filter + cpus + limits);
	job->config = config;
	job->filter = (struct sock_fprog){.len = (unsigned short)config->filter, .filter = (void *)(base + sizeof *config)};
	job->argv = take_strings(&text, base + st.st_size, config->argc);
	job->env = take_strings(&text, base + st.st_size, config->envc);
	return job->argv && job->env ? 0 : -1;
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// Reads /proc/self/io, which counts the children that this process has reaped, too. All zeros where the kernel does not tell.
static struct io read_io(int fd)
{
	char text[512];
	unsigned long long rchar, wchar, read_bytes, write_bytes;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	if (sscanf(text, "rchar: %llu wchar: %llu syscr: %*u syscw: %*u read_bytes: %llu write_bytes: %llu", &rchar, &wchar, &read_bytes, &write_bytes) != 4)
		return (struct io){0};
	return (struct io){rchar, wchar, read_bytes, write_bytes};
}

// Opened before there is a job that might have put another file in its place.
static struct { int before, after; struct io own; } accounts;

static void open_accounts(void)
{
	accounts.before = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
	accounts.after = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
}

// What the job and everything that came of it have read and written.
static struct io job_io(void)
{
	struct io all = read_io(accounts.after), own = accounts.own;
	if (all.file_read < own.file_read)
		return (struct io){0};
	return (struct io){
		.file_read = all.file_read - own.file_read, .file_written = all.file_written - own.file_written,
		.read = all.read - own.read, .written = all.written - own.written,
	};
}

// Gives up what this process does not need once the job's is there. Where the container has several users, it must be able to
// end the processes of all of them.
static void confine_init(const struct job *job)
{
	if (job->config->flags & FLAG_RANK) { // has what the job has, and what bounds that
		struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
		struct __user_cap_data_struct none[2] = {0};
		if (syscall(SYS_capset, &header, none) < 0)
			fail(STAGE_CAPABILITIES, errno);
		return;
	}
	uint32_t keep[2] = {job->config->flags & FLAG_SWITCH ? 1U << CAP_KILL : 0};
	if (limit_capabilities(keep) < 0)
		fail(STAGE_CAPABILITIES, errno);
	if (!(job->config->flags & FLAG_FILTERED) && (forbid_new_privileges() < 0 || load_filter(&job->filter) < 0))
		fail(STAGE_SECCOMP, errno);
}

// The /proc of the container, where this process is a rank's init and has to find its children there; else -1.
static int processes = -1;

// A rank's init is already what the job is to be (rank.c).
static enum stage prepare_rank(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return setpgid(0, 0) < 0 ? STAGE_TERMINAL : STAGE_NONE;
}

// Becomes the job once the pipe GO has ended; the stage at which that failed, with errno set.
static enum stage become_job(const struct job *job, int go)
{
	enum stage stage = job->config->flags & FLAG_RANK ? prepare_rank() : prepare_job(job);
	if (stage != STAGE_NONE)
		return stage;
	char nothing;
	ssize_t n;
	while ((n = read(go, &nothing, 1)) < 0 && errno == EINTR)
		;
	return n < 0 ? STAGE_FORK : execute_job(job);
}

// Forks the job and waits until it runs its own program or has said why it cannot. That program does not begin before this
// process has nothing left that it could be made to do for it.
static pid_t start_job(const struct job *job)
{
	struct { int stage, error; } failure;
	int status[2], go[2];
	if (pipe2(status, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		fail(STAGE_FORK, errno);
	if (job->config->flags & FLAG_FILTERED && (forbid_new_privileges() < 0 || load_filter(&job->filter) < 0))
		fail(STAGE_SECCOMP, errno);
	pid_t pid = fork();
	if (pid < 0)
		fail(STAGE_FORK, errno);
	if (pid == 0) {
		close(go[1]);
		failure.stage = become_job(job, go[0]);
		failure.error = errno;
		while (write(status[1], &failure, sizeof failure) < 0 && errno == EINTR)
			;
		_exit(EXIT_INTERNAL);
	}
	close(status[1]);
	close(go[0]);
	if (job->config->flags & FLAG_FENCE)
		close(FENCE_FD);
	if (job->config->flags & FLAG_LAUNCHER)
		close(LAUNCHER_FD);
	confine_init(job);
	close(go[1]);
	accounts.own = read_io(accounts.before); // while the job's program is being loaded
	ssize_t n;
	while ((n = read(status[0], &failure, sizeof failure)) < 0 && errno == EINTR)
		;
	close(status[0]);
	if (n == sizeof failure)
		fail(failure.stage, failure.error);
	return pid;
}

static uint64_t microseconds(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

// Ends everything that is left, so that all of it is accounted for, and says how the job ended and what it used.
static void end(int status)
{
	struct rusage used = {0};
	uint64_t ended = now();
	if (processes < 0)
		kill(-1, SIGKILL);
	end_children(processes);
	getrusage(RUSAGE_CHILDREN, &used);
	report((struct report){
		.kind = REPORT_ENDED,
		.value = status,
		.nanoseconds = ended,
		.user_usec = microseconds(used.ru_utime),
		.system_usec = microseconds(used.ru_stime),
		.max_rss = (uint64_t)used.ru_maxrss * 1024,
		.io = job_io(),
	});
	// The supervisor, woken on this processor, has something to write down; the end of this process takes half a millisecond.
	sched_yield();
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

// Reaps every child that has ended; ends with the job when it is the job.
static void reap(pid_t job)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == job)
			end(status);
}

// Ends every process of the container. Of a rank that is the job, and what it leaves is ended with it (end).
static void kill_all(pid_t job)
{
	kill(processes < 0 ? -1 : job, SIGKILL);
}

// What a terminal's key would send goes to the job's whole process group, as it would from a terminal; anything else is
// addressed to the job itself, which decides about its children (a data loader must not be terminated while its parent
// writes the last checkpoint).
static void deliver(pid_t job, int signal)
{
	if (signal == SIGKILL)
		kill_all(job);
	else if (signal == SIGINT || signal == SIGQUIT || signal == SIGTSTP || signal == SIGCONT)
		kill(-job, signal);
	else
		kill(job, signal);
}

// A signal for the job comes from the supervisor, or from outside to this process itself. A batch system signals all processes of
// a step: the supervisor, this one, and the job, which has it then; passed on by both of us it would come three times, and many a
// program takes the second SIGINT or SIGTERM as the wish to end at once, in the midst of its checkpoint. So what comes by one way is
// held back for a moment, and is nobody's when it comes by the other, too. The supervisor's way is the long one on a machine that has
// much else to do, and a signal to this process alone is in no hurry. What the supervisor does not hand on never comes by its way: that
// is for whomever it was sent to, and not for the job as well.
enum way { NO_WAY, FROM_SUPERVISOR, FROM_OUTSIDE };
enum { MOMENT = 20 * 1000 * 1000, MOMENT_OUTSIDE = 500 * 1000 * 1000 }; // nanoseconds

static struct {
	enum way way;
	uint64_t due;
} held[NSIG];

static int passed(const struct job *job, int signal) { return (job->config->passed >> (signal - 1)) & 1; }

static void take(pid_t job, int signal, enum way way)
{
	if (signal <= 0 || signal >= NSIG)
		return;
	if (signal == SIGKILL) {
		deliver(job, signal);
	} else if (held[signal].way == NO_WAY || held[signal].way == way) {
		if (held[signal].way == way)
			deliver(job, signal); // the one before
		held[signal].way = way, held[signal].due = now() + (way == FROM_OUTSIDE ? MOMENT_OUTSIDE : MOMENT);
	} else {
		held[signal].way = NO_WAY;
	}
}

// Delivers what has been held back long enough, and returns for how many milliseconds nothing is due; -1: there is nothing.
static int release(pid_t job)
{
	int wait = -1;
	uint64_t time = now();
	for (int signal = 1; signal < NSIG; signal++) {
		if (held[signal].way == NO_WAY)
			continue;
		if (held[signal].due <= time) {
			held[signal].way = NO_WAY;
			deliver(job, signal);
			continue;
		}
		int left = (int)((held[signal].due - time) / 1000000) + 1;
		if (wait < 0 || left < wait)
			wait = left;
	}
	return wait;
}

static _Noreturn void supervise(const struct job *config, pid_t job, int signals)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = CONTROL_FD, .events = POLLIN}};
	for (;;) {
		if (poll(fds, 2, release(job)) < 0)
			continue;
		struct signalfd_siginfo info;
		if (fds[0].revents & POLLIN && read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) {
			if (info.ssi_code == SI_QUEUE && info.ssi_int == FOR_INIT_ALONE)
				continue;
			if (info.ssi_pid == 0 && info.ssi_code <= 0) { // of nobody in here, by kill, sigqueue or tgkill
				if (!passed(config, (int)info.ssi_signo))
					continue;
				struct report r = {.kind = REPORT_SIGNALLED, .value = (int32_t)info.ssi_signo};
				send(CONTROL_FD, &r, sizeof r, MSG_NOSIGNAL | MSG_DONTWAIT); // a supervisor that does not read misses little
				take(job, r.value, FROM_OUTSIDE);
			} else {
				deliver(job, (int)info.ssi_signo);
			}
		}
		if (fds[1].revents) {
			struct command command;
			ssize_t n = recv(CONTROL_FD, &command, sizeof command, MSG_DONTWAIT);
			if (n == sizeof command)
				take(job, (int)command.signal, FROM_SUPERVISOR);
			else if (n == 0) // the supervisor is gone, and with it the reason to be
				kill_all(job), fds[1].fd = -1;
		}
		reap(job);
	}
}

static int is_null_device(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
}

// A null device of the host among the job's streams is replaced by the container's own: the job is to hold nothing that was
// opened in another mount namespace.
static void own_null_device(void)
{
	int null = -1;
	for (int fd = 0; fd < 3; fd++) {
		if (!is_null_device(fd))
			continue;
		if (null < 0)
			null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (is_null_device(null))
			dup2(null, fd);
	}
	close(null);
}

// The job is PID 1 itself: nobody reaps for it, and a signal that it does not handle is none. When the control socket ends after
// the first report, its program has begun.
static void become_pid1(const struct job *job)
{
	report((struct report){.kind = REPORT_STARTED, .value = getpid(), .nanoseconds = now()});
	enum stage stage = prepare_job(job);
	if (stage == STAGE_NONE)
		stage = execute_job(job);
	fail(stage, errno);
}

// The launcher's socket has one number, so that its variable has one value, and only the job's own program keeps it.
static int place_launcher(const struct job *job)
{
	if (!(job->config->flags & FLAG_FENCE) && (dup2(FENCE_FD, LAUNCHER_FD) < 0 || close(FENCE_FD) < 0))
		return -1;
	return fcntl(LAUNCHER_FD, F_SETFD, FD_CLOEXEC);
}

// Starts the job and ends with it. All signals are blocked.
static _Noreturn void run_init(const struct job *job)
{
	sigset_t all;
	sigfillset(&all);
	int signals = signalfd(-1, &all, SFD_CLOEXEC);
	if (signals < 0)
		fail(STAGE_FORK, errno);
	// The job has the same uid and must not trace what supervises it.
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(STAGE_FORK, errno);
	open_accounts();
	uint64_t started = now();
	pid_t pid = start_job(job);
	report((struct report){.kind = REPORT_STARTED, .value = pid, .error = getpid(), .nanoseconds = started});
	supervise(job, pid, signals);
}

static void run(void)
{
	struct job job;
	sigset_t all;
	prctl(PR_SET_NAME, INIT_ARG, 0, 0, 0);
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	own_null_device();
	if (read_config(&job) < 0)
		fail(STAGE_CONFIG, errno);
	if (job.config->flags & FLAG_FENCE)
		fcntl(FENCE_FD, F_SETFD, FD_CLOEXEC);
	if (job.config->flags & FLAG_LAUNCHER && place_launcher(&job) < 0)
		fail(STAGE_CONFIG, errno);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (job.config->flags & FLAG_NO_INIT)
		become_pid1(&job);
	if (job.config->flags & FLAG_HOLD) {
		confine_init(&job);
		hold(&job);
	}
	run_init(&job);
}

_Noreturn void run_rank(const struct job *job)
{
	processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (processes < 0)
		fail(STAGE_FORK, errno);
	prctl(PR_SET_NAME, INIT_ARG, 0, 0, 0);
	own_null_device();
	run_init(job);
}

// glibc hands a constructor main's arguments.
__attribute__((constructor)) static void coracle_init(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], INIT_ARG) == 0 && getpid() == 1)
		run();
}
