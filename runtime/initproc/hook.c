// A hook of a container: a program that runs before the job does, with power over the container's mounts. libcontainer runs it in
// the image's root directory, where a program that looks for something by a relative path finds what the image has put there
// (CVE-2025-23266), and when its time is over kills it alone: a child of its that lives on and holds its output has the start wait
// for ever. So libcontainer runs this program instead, which runs the hook elsewhere, passes on the beginning of what it says, and ends
// when the hook does, or with all of it when its time is over.
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(127);
}

// A hook's output, of which no more is passed on than fits into an error.
struct output {
	int fd; // does not block; -1: it has ended
	size_t room;
};

static ssize_t pass_on(struct output *o)
{
	char text[4096];
	ssize_t n = read(o->fd, text, sizeof text);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			o->fd = -1;
		return n;
	}
	size_t kept = (size_t)n < o->room ? (size_t)n : o->room;
	if (kept > 0 && write(STDERR_FILENO, text, kept) < 0)
		kept = o->room; // nobody listens
	o->room -= kept;
	return n;
}

// The kernel tells of a child's end, or does not in time: then whatever is left of the hook is killed.
static void await(pid_t pid, int child, struct output *o, int seconds)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		long long left = (end.tv_sec - now.tv_sec) * 1000LL + (end.tv_nsec - now.tv_nsec) / 1000000;
		siginfo_t info = {0};
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0)
			break;
		if (left <= 0) {
			dprintf(STDERR_FILENO, "it ran for more than %d s, and was killed\n", seconds);
			kill(-pid, SIGKILL);
			return;
		}
		struct pollfd fds[] = {{.fd = child, .events = POLLIN}, {.fd = o->fd, .events = POLLIN}};
		if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
			give_up("waiting for it");
		if (fds[0].revents) {
			struct signalfd_siginfo told;
			(void)!read(child, &told, sizeof told); // waitid says whose it was
		}
		if (fds[1].revents)
			pass_on(o);
	}
	while (o->fd >= 0 && o->room > 0 && pass_on(o) > 0)
		;
}

static _Noreturn void run_hook(char **argv)
{
	sigset_t child, before;
	int status, out[2];
	syscall(SYS_close_range, 3U, ~0U, 0U); // on a kernel without it all of them are close-on-exec at least
	if (chdir("/") < 0)
		give_up("entering /");
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	int ends = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ends < 0 || pipe2(out, O_CLOEXEC) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
		give_up("starting it");
	pid_t pid = fork();
	if (pid < 0)
		give_up("starting it");
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		sigprocmask(SIG_SETMASK, &before, NULL);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		execv(argv[2], argv + 3);
		give_up("executing it");
	}
	setpgid(pid, pid); // whichever of the two comes first; the other fails
	close(out[1]);
	struct output output = {.fd = out[0], .room = 4096};
	await(pid, ends, &output, atoi(argv[1]));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			give_up("waiting for it");
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// argv: HOOK_ARG, the seconds that the hook has, its path, its arguments from its own name on.
__attribute__((constructor)) static void coracle_hook(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[0], HOOK_ARG) == 0)
		run_hook(argv);
}
