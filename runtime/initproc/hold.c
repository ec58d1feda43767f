// PID 1 of a container that several ranks share (rank.c). It starts nothing: each rank is started by a supervisor of its own, and has an
// init of its own, to which whatever the rank leaves behind falls. What falls to this process has lost that init, and is killed. The
// kernel gives no word of such an inheritance; the keeper does, when a rank's line to it has ended.
#define _GNU_SOURCE
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// The parent of a process of /proc, and its state; 0: it is gone.
static pid_t parent_of(int proc, const char *pid, char *state)
{
	char path[32], text[512];
	snprintf(path, sizeof path, "%.16s/stat", pid);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	char *name = strrchr(text, ')'); // which may have anything in it
	int parent = 0;
	return name && sscanf(name + 1, " %c %d", state, &parent) == 2 ? parent : 0;
}

void kill_children(int proc)
{
	int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	char state;
	for (struct dirent *entry; (entry = readdir(dir));)
		if (atoi(entry->d_name) > 0 && parent_of(proc, entry->d_name, &state) == getpid())
			kill(atoi(entry->d_name), SIGKILL);
	closedir(dir);
}

// Each that dies leaves its own children here. It is killed in its turn, and so generation by generation.
void end_children(int proc)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return;
		if (pid != 0)
			continue;
		if (proc >= 0)
			kill_children(proc);
		waitpid(-1, NULL, 0);
	}
}

// Inits of ranks of which the keeper has heard that they are gone, or about to be. As long as one is there, children of its may be on
// their way here.
static pid_t leaving[4096];
static int count;

// A process that has ended, reaped or not, has left its children to others.
static int has_ended(int proc, pid_t pid)
{
	char name[16], state = 0;
	if (kill(pid, 0) < 0 && errno == ESRCH)
		return 1;
	snprintf(name, sizeof name, "%d", pid);
	parent_of(proc, name, &state);
	return state == 'Z' || state == 'X';
}

// Forgets those that are gone, by then with all that they have left, and says so.
static void clear(int proc)
{
	int gone[sizeof leaving / sizeof *leaving];
	for (int i = 0; i < count; i++)
		gone[i] = has_ended(proc, leaving[i]);
	end_children(proc);
	int left = 0;
	for (int i = 0; i < count; i++) {
		if (gone[i])
			report((struct report){.kind = REPORT_CLEARED, .value = leaving[i]});
		else
			leaving[left++] = leaving[i];
	}
	count = left;
}

// Takes one message of the keeper; its end is the end of all.
static void take(void)
{
	struct command command;
	ssize_t n = recv(CONTROL_FD, &command, sizeof command, MSG_DONTWAIT);
	if (n == 0)
		_exit(0);
	if (n == sizeof command && count < (int)(sizeof leaving / sizeof *leaving))
		leaving[count++] = (pid_t)command.signal;
}

_Noreturn void hold(const struct job *job)
{
	(void)job;
	sigset_t all;
	sigfillset(&all);
	int signals = signalfd(-1, &all, SFD_CLOEXEC);
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (signals < 0 || proc < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(STAGE_FORK, errno);
	report((struct report){.kind = REPORT_STARTED, .value = getpid()});
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = CONTROL_FD, .events = POLLIN}};
	for (int wait = -1;;) {
		if (poll(fds, 2, wait) < 0)
			continue;
		struct signalfd_siginfo info;
		if (fds[0].revents & POLLIN && read(signals, &info, sizeof info) < 0)
			continue;
		if (fds[1].revents)
			take();
		clear(proc);
		// An init that is on its way is looked for often, one that somebody has stopped more and more seldom.
		wait = count == 0 ? -1 : wait < 0 ? 1 : wait < 1000 ? wait * 2 : wait;
	}
}
