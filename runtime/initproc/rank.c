// A rank of a shared container: of the tasks that a launcher starts on a node, one, with its own supervisor. The supervisor executes
// this program, from the keeper's sealed copy. The process joins the container's namespaces from outside, as a further process does
// (exec.c), and its child is the rank's init: no more than the job is, from the first moment that the others can see it. It descends
// from the supervisor, so that it stays in the control group, on the CPUs and on the account that the scheduler has given to the rank.
//
// This process stays outside and waits for the init, which the host's own first process may not do.
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Joins the container and takes on what the job is. The filter, which comes last, forbids none of what follows.
static void enter(const struct job *job, int namespaces, const char *directory)
{
	if (join(NAMESPACE_FD, CLONE_NEWUSER) < 0)
		fail(STAGE_JOIN, errno);
	for (int i = 1; i < namespaces; i++)
		if (join(NAMESPACE_FD + i, 0) < 0)
			fail(STAGE_JOIN, errno);
	if (take_user(job, -1) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(STAGE_USER, errno);
	if (enter_directory(directory) < 0)
		fail(STAGE_DIRECTORY, errno);
	enum stage stage = limit_job(job);
	if (stage != STAGE_NONE)
		fail(stage, errno);
}

// The rank's init. What the rank leaves behind falls to it. It tells the keeper its number, by which that knows when it is gone.
static _Noreturn void become_init(const struct job *job, int line)
{
	close(RANK_FD);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || setsid() < 0)
		fail(STAGE_FORK, errno);
	if (dprintf(line, "{\"init\":%d}\n", getpid()) < 0)
		fail(STAGE_FORK, errno);
	run_rank(job);
}

// Tells the supervisor of the init's end (Reply in wire.go).
static void tell_end(int status, const struct rusage *used)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	dprintf(RANK_FD, "{\"ended\":true,\"status\":%d,\"nanoseconds\":%lld,\"usage\":{\"user_seconds\":%lld.%06ld,\"system_seconds\":%lld.%06ld,\"max_rss\":%lld}}\n",
		status, (long long)t.tv_sec * 1000000000 + t.tv_nsec, (long long)used->ru_utime.tv_sec, (long)used->ru_utime.tv_usec,
		(long long)used->ru_stime.tv_sec, (long)used->ru_stime.tv_usec, (long long)used->ru_maxrss * 1024);
}

// Waits for the init, which ends with the supervisor at the latest.
static _Noreturn void await(pid_t init, int signals)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = RANK_FD, .events = POLLIN}};
	for (;;) {
		int status;
		struct rusage used;
		if (wait4(init, &status, WNOHANG, &used) == init) {
			tell_end(status, &used);
			_exit(0);
		}
		if (poll(fds, 2, -1) < 0)
			continue;
		struct signalfd_siginfo info;
		if (fds[0].revents & POLLIN && read(signals, &info, sizeof info) < 0)
			continue;
		if (fds[1].revents) {
			kill(init, SIGKILL);
			fds[1].fd = -1;
		}
	}
}

static _Noreturn void run(int namespaces, const char *directory)
{
	struct job job;
	sigset_t all;
	char go;
	int line = NAMESPACE_FD + namespaces;
	for (int fd = CONTROL_FD; fd <= line + 1; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC); // fails for those that were not given
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || read_config(&job) < 0)
		fail(STAGE_CONFIG, errno);
	enter(&job, namespaces, directory);
	if (job.config->flags & FLAG_LAUNCHER && (dup2(line + 1, LAUNCHER_FD) < 0 || close(line + 1) < 0 || fcntl(LAUNCHER_FD, F_SETFD, FD_CLOEXEC) < 0))
		fail(STAGE_CONFIG, errno);
	ssize_t n;
	while ((n = read(RANK_FD, &go, 1)) < 0 && errno == EINTR)
		;
	if (n != 1)
		_exit(0); // the supervisor has thought better of it, or is gone
	// What a batch system sends to all processes of a step is for the job.
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	int signals = signalfd(-1, &all, SFD_CLOEXEC);
	pid_t init = signals < 0 ? -1 : fork();
	if (init < 0)
		fail(STAGE_FORK, errno);
	if (init == 0)
		become_init(&job, line);
	close(CONTROL_FD); // else its end would not be noticed
	if (job.config->flags & FLAG_LAUNCHER)
		close(LAUNCHER_FD); // it is the job's alone
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	await(init, signals);
}

__attribute__((constructor)) static void coracle_rank(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], RANK_ARG) == 0)
		run(atoi(argv[2]), argv[3]);
}
