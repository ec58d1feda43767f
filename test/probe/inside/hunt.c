// The job's view of a process that enters its container: is there a moment in which that one can be used?
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat root, own, busybox;

static int same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

// Whether a process runs a program of the container's, as far as that can be seen.
static int is_known(int process)
{
	struct stat exe;
	return fstatat(process, "exe", &exe, 0) < 0 || same(&exe, &own) || same(&exe, &busybox);
}

static void caught(const char *what, const char *pid)
{
	char name[64] = "", path[300];
	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	slurp(path, name, sizeof name);
	say("caught", what, "%s", name);
	fflush(stdout);
}

static void look_at_descriptors_of(int process, const char *pid)
{
	int list = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list < 0 ? NULL : fdopendir(list);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		struct stat st;
		if (e->d_name[0] != '.' && fstatat(list, e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode) && !is_known(process))
			caught("a directory of it", pid);
	}
	if (dir)
		closedir(dir);
	else if (list >= 0)
		close(list);
}

static void try_process(const char *pid)
{
	char path[300];
	struct stat st;
	snprintf(path, sizeof path, "/proc/%s", pid);
	int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return;
	if (!is_known(process))
		caught("its program", pid);
	if (fstatat(process, "root", &st, 0) == 0 && !same(&st, &root))
		caught("another root", pid);
	if (fstatat(process, "cwd", &st, 0) == 0 && st.st_dev != root.st_dev)
		caught("another directory", pid);
	look_at_descriptors_of(process, pid);
	if (ptrace(PTRACE_SEIZE, atoi(pid), NULL, NULL) == 0) {
		if (!is_known(process))
			caught("control over it", pid);
		ptrace(PTRACE_INTERRUPT, atoi(pid), NULL, NULL);
		if (waitpid(atoi(pid), NULL, __WALL) > 0)
			ptrace(PTRACE_DETACH, atoi(pid), NULL, NULL);
	}
	close(process);
}

void hunt(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	stat("/", &root);
	stat("/proc/self/exe", &own);
	stat("/bin/busybox", &busybox);
	say("hunt", "begins", "yes");
	fflush(stdout);
	while (poll(&input, 1, 0) == 0) {
		DIR *dir = opendir("/proc");
		for (struct dirent *e; dir && (e = readdir(dir));)
			if (atoi(e->d_name) > 1 && atoi(e->d_name) != getpid())
				try_process(e->d_name);
		if (dir)
			closedir(dir);
	}
	say("hunt", "ends", "yes");
}
