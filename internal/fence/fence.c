// Landlock confines a thread and what it starts, where a process is to be confined that has threads already. The kernel does it
// for all of them at once from Landlock's version 8 on (LANDLOCK_RESTRICT_SELF_TSYNC); before, each has to do it itself, and is
// asked to by a signal. glibc does the same for setuid (nptl(7)).
#define _GNU_SOURCE
#include "fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The first real-time signal that glibc leaves to programs, which the Go runtime keeps unblocked and takes no interest in
// (runtime/sigtab_linux_generic.go).
#define SIGNAL 34

enum { MOST = 4096 }; // threads; Go ends a process that has 10,000

static int confining = -1; // the ruleset
static atomic_int failure, claimed;
static _Atomic pid_t confined[MOST]; // 0 where a thread has claimed its place and is not done yet

// Runs on every thread, in a signal's handler on all but one: only system calls.
static void confine_this_thread(void)
{
	int error = 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, confining, 0) < 0)
		error = errno;
	if (error && error != E2BIG) // as many rulesets are in force as there can be: someone has confined this process before
		atomic_store(&failure, error);
	int place = atomic_fetch_add(&claimed, 1);
	if (place < MOST)
		atomic_store(&confined[place], (pid_t)syscall(SYS_gettid));
	else
		atomic_store(&failure, EAGAIN);
}

static void on_signal(int number)
{
	(void)number;
	int before = errno;
	confine_this_thread();
	errno = before;
}

static int is_confined(pid_t thread)
{
	int count = atomic_load(&claimed);
	for (int i = 0; i < count && i < MOST; i++)
		if (atomic_load(&confined[i]) == thread)
			return 1;
	return 0;
}

// Whether a thread is the child of one that was confined, so that it need not be asked: by no_new_privs, which is set just before and
// is inherited as well. That tells nothing in a process that had it from the beginning.
static int was_born_confined(pid_t thread)
{
	char path[64], status[4096];
	snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t size = read(fd, status, sizeof status - 1);
	close(fd);
	status[size > 0 ? size : 0] = 0;
	return strstr(status, "\nNoNewPrivs:\t1\n") != NULL;
}

// Asks one thread, and waits until it is confined or gone. One that does not answer is in the kernel, waiting for a disk or a
// server that does not answer either.
static int confine(pid_t process, pid_t thread)
{
	const struct timespec pause = {.tv_nsec = 20 * 1000};
	enum { PATIENCE = 10 * 1000 * 1000 / 20 }; // ten seconds, and what the pauses take longer
	if (syscall(SYS_tgkill, process, thread, SIGNAL) < 0)
		return errno == ESRCH ? 0 : errno;
	for (int i = 0; i < PATIENCE; i++) {
		if (is_confined(thread) || (syscall(SYS_tgkill, process, thread, 0) < 0 && errno == ESRCH))
			return 0;
		nanosleep(&pause, NULL);
	}
	return ETIMEDOUT;
}

// Confines all threads that there are, and counts those that were not. On a look that is not the first, some may have been made by
// others that were.
static int confine_others(pid_t except, int inherited, int *found)
{
	DIR *tasks = opendir("/proc/self/task");
	if (!tasks)
		return errno;
	pid_t process = getpid();
	int error = 0;
	*found = 0;
	for (struct dirent *entry; !error && (entry = readdir(tasks));) {
		pid_t thread = atoi(entry->d_name); // 0 for what is no number
		if (thread == 0 || thread == except || is_confined(thread) || (inherited && was_born_confined(thread)))
			continue;
		*found += 1;
		error = confine(process, thread);
	}
	closedir(tasks);
	return error;
}

// A thread that another one started before that was confined is found by a further look. When a look finds none, each is
// confined, and so is whatever they start.
int coracle_fence(int ruleset, int except)
{
	confining = ruleset;
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK}; // on the stack Go has for signals
	sigfillset(&action.sa_mask);
	if (sigaction(SIGNAL, &action, NULL) < 0)
		return errno;
	int telling = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
	confine_this_thread();
	for (int look = 0, found = 1, error; found > 0; look++)
		if ((error = atomic_load(&failure)) || (error = confine_others(except, telling && look > 0, &found)))
			return error;
	return atomic_load(&failure);
}
