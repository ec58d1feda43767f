// A hook of a container: a program that runs before the job does, with power over the container's mounts. libcontainer runs it in
// the image's root directory, where a program that looks for something by a relative path finds what the image has put there
// (CVE-2025-23266), and when its time is over kills it alone: a child of its that lives on and holds its output has the start wait
// for ever. So libcontainer runs this program instead, which runs the hook elsewhere and ends all of it.
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(127);
}

// The kernel tells of a child's end, or does not in time: then whatever is left of the hook is killed.
static void await(pid_t pid, const sigset_t *child, int seconds)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		struct timespec left = {.tv_sec = end.tv_sec - now.tv_sec};
		siginfo_t info = {0};
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0)
			return;
		if (left.tv_sec <= 0 || (sigtimedwait(child, NULL, &left) < 0 && errno != EINTR && errno != EAGAIN))
			break;
	}
	dprintf(STDERR_FILENO, "it ran for more than %d s, and was killed\n", seconds);
	kill(-pid, SIGKILL);
}

static _Noreturn void run_hook(char **argv)
{
	sigset_t child, before;
	int status;
	syscall(SYS_close_range, 3U, ~0U, 0U); // on a kernel without it all of them are close-on-exec at least
	if (chdir("/") < 0)
		give_up("entering /");
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	pid_t pid = fork();
	if (pid < 0)
		give_up("starting it");
	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		sigprocmask(SIG_SETMASK, &before, NULL);
		execv(argv[2], argv + 3);
		give_up("executing it");
	}
	setpgid(pid, pid); // whichever of the two comes first; the other fails
	await(pid, &child, atoi(argv[1]));
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
